-- +goose Up

-- How many changes were sent: one row for each budget, what it counts and window.
CREATE TABLE budget (
    name  TEXT NOT NULL,
    key   TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    used  INTEGER NOT NULL,
    cap   INTEGER NOT NULL,
    PRIMARY KEY (name, key, since)
) WITHOUT ROWID;
CREATE INDEX budget_until ON budget (until);
