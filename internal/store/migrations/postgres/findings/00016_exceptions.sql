-- +goose Up

-- Exceptions: accepted risks, each with the findings that it suppresses for a time.
-- What one says is in doc; the columns are those by which it is found. ended_at is 0
-- while it is open, due_at is when there is work on it next, 0 for never.
CREATE TABLE exception (
    id         TEXT COLLATE "C" PRIMARY KEY,
    state      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    doc        BYTEA NOT NULL
);
CREATE INDEX exception_page  ON exception (created_at, id);
CREATE INDEX exception_state ON exception (state, created_at, id);
CREATE INDEX exception_due   ON exception (due_at, id) WHERE due_at > 0;

-- Moves whenever an exception comes into force or ends, so that a node sees by one
-- row whether those that it has compiled are still in force.
CREATE TABLE exception_revision (
    one BIGINT PRIMARY KEY,
    rev BIGINT NOT NULL
);
INSERT INTO exception_revision (one, rev) VALUES (1, 1);

-- Which exception suppresses a finding, '' for none, and when a person last set the
-- status of one that an exception covers: older exceptions leave it alone.
ALTER TABLE finding ADD COLUMN exception TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE finding ADD COLUMN exempt_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX finding_exception ON finding (exception, updated_at, rid) WHERE exception <> '';
