-- +goose Up

-- Cases (docs/cases.md). They stand beside remediations, approvals and the audit log:
-- what people do about an incident, and not what came in. What a case says is sealed.
CREATE TABLE case_file (
    id         TEXT COLLATE "C" PRIMARY KEY,
    status     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT  NOT NULL,
    closed_at  BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    sealed     BYTEA   NOT NULL
);
CREATE INDEX case_page   ON case_file (created_at, id);
CREATE INDEX case_open   ON case_file (created_at, id) WHERE closed_at = 0;
CREATE INDEX case_closed ON case_file (closed_at, id) WHERE closed_at > 0;

-- The accounts of a case decide who sees it.
CREATE TABLE case_account (
    case_id TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (case_id, account)
);
CREATE INDEX case_account_case ON case_account (account, case_id);

-- The open case that takes the events of a group, and when the last one came.
CREATE TABLE case_group (
    name    TEXT COLLATE "C" PRIMARY KEY,
    case_id TEXT COLLATE "C" NOT NULL,
    last_at BIGINT  NOT NULL
);
CREATE INDEX case_group_case ON case_group (case_id);

-- The timeline. event names what came by a rule, so that it is written once.
CREATE TABLE case_entry (
    case_id TEXT COLLATE "C" NOT NULL,
    seq     BIGINT  NOT NULL,
    event   TEXT COLLATE "C" NOT NULL,
    sealed  BYTEA   NOT NULL,
    PRIMARY KEY (case_id, seq)
);
CREATE UNIQUE INDEX case_entry_event ON case_entry (event) WHERE event <> '';
