-- +goose Up

-- How many changes were sent: one row for each budget, what it counts and window.
CREATE TABLE budget (
    name  TEXT COLLATE "C" NOT NULL,
    key   TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT NOT NULL,
    used  BIGINT NOT NULL,
    cap   BIGINT NOT NULL,
    PRIMARY KEY (name, key, since)
);
CREATE INDEX budget_until ON budget (until);
