-- +goose Up

-- Cases (docs/cases.md). They stand beside remediations, approvals and the audit log:
-- what people do about an incident, and not what came in. What a case says is sealed.
CREATE TABLE case_file (
    id         TEXT    PRIMARY KEY,
    status     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    closed_at  INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    sealed     BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX case_page   ON case_file (created_at, id);
CREATE INDEX case_open   ON case_file (created_at, id) WHERE closed_at = 0;
CREATE INDEX case_closed ON case_file (closed_at, id) WHERE closed_at > 0;

-- The accounts of a case decide who sees it.
CREATE TABLE case_account (
    case_id TEXT NOT NULL,
    account TEXT NOT NULL,
    PRIMARY KEY (case_id, account)
) WITHOUT ROWID;
CREATE INDEX case_account_case ON case_account (account, case_id);

-- The open case that takes the events of a group, and when the last one came.
CREATE TABLE case_group (
    name    TEXT    PRIMARY KEY,
    case_id TEXT    NOT NULL,
    last_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX case_group_case ON case_group (case_id);

-- The timeline. event names what came by a rule, so that it is written once.
CREATE TABLE case_entry (
    case_id TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    event   TEXT    NOT NULL,
    sealed  BLOB    NOT NULL,
    PRIMARY KEY (case_id, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX case_entry_event ON case_entry (event) WHERE event <> '';
