-- +goose Up

-- Exceptions: accepted risks, each with the findings that it suppresses for a time.
-- What one says is in doc; the columns are those by which it is found. ended_at is 0
-- while it is open, due_at is when there is work on it next, 0 for never.
CREATE TABLE exception (
    id         TEXT    PRIMARY KEY,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    doc        BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX exception_page  ON exception (created_at, id);
CREATE INDEX exception_state ON exception (state, created_at, id);
CREATE INDEX exception_due   ON exception (due_at, id) WHERE due_at > 0;

-- Moves whenever an exception comes into force or ends, so that a node sees by one
-- row whether those that it has compiled are still in force.
CREATE TABLE exception_revision (
    one INTEGER PRIMARY KEY,
    rev INTEGER NOT NULL
);
INSERT INTO exception_revision (one, rev) VALUES (1, 1);

-- Which exception suppresses a finding, '' for none, and when a person last set the
-- status of one that an exception covers: older exceptions leave it alone.
ALTER TABLE finding ADD COLUMN exception TEXT NOT NULL DEFAULT '';
ALTER TABLE finding ADD COLUMN exempt_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX finding_exception ON finding (exception, updated_at, rid) WHERE exception <> '';
