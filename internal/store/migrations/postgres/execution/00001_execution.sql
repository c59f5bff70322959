-- +goose Up

-- Text is collated "C" so that order and comparison are those of SQLite.

CREATE TABLE remediation (
    id          TEXT COLLATE "C" PRIMARY KEY,
    undo_of     TEXT COLLATE "C" NOT NULL,
    finding     TEXT COLLATE "C" NOT NULL,
    control     TEXT COLLATE "C" NOT NULL,
    account     TEXT COLLATE "C" NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    doc         BYTEA    NOT NULL
);
CREATE INDEX remediation_created ON remediation (created_at, id);
CREATE INDEX remediation_account ON remediation (account, created_at, id);
CREATE INDEX remediation_state   ON remediation (state, created_at, id);
CREATE INDEX remediation_finding ON remediation (finding, created_at, id);
CREATE INDEX remediation_undo_of ON remediation (undo_of) WHERE undo_of <> '';

-- Sealed: the plan as the very text that was hashed.
CREATE TABLE plan (
    hash       TEXT COLLATE "C" PRIMARY KEY,
    sealed     BYTEA    NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE approval (
    id          TEXT COLLATE "C" PRIMARY KEY,
    remediation TEXT COLLATE "C" NOT NULL,
    account     TEXT COLLATE "C" NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    doc         BYTEA    NOT NULL
);
CREATE INDEX approval_created     ON approval (created_at, id);
CREATE INDEX approval_state       ON approval (state, created_at, id);
CREATE INDEX approval_remediation ON approval (remediation, created_at, id);
CREATE INDEX approval_due         ON approval (expires_at, id) WHERE state = 'pending';

-- Sealed: the recorded call with its input and before-image.
CREATE TABLE change_record (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    remediation TEXT COLLATE "C" NOT NULL,
    outcome     TEXT COLLATE "C" NOT NULL,
    sealed      BYTEA NOT NULL
);
CREATE INDEX change_remediation ON change_record (remediation, seq);

CREATE TABLE execution (
    id          TEXT COLLATE "C" PRIMARY KEY,
    remediation TEXT COLLATE "C" NOT NULL,
    segment     BIGINT NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    state       BYTEA    NOT NULL,
    lease_owner TEXT COLLATE "C" NOT NULL,
    lease_epoch BIGINT NOT NULL,
    started_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL
);
CREATE INDEX execution_ended ON execution (ended_at) WHERE ended_at <> 0;

CREATE TABLE step (
    execution  TEXT COLLATE "C" NOT NULL,
    seq        BIGINT NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    action     TEXT COLLATE "C" NOT NULL,
    attempt    BIGINT NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    sealed     BYTEA    NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    PRIMARY KEY (execution, seq)
);

CREATE TABLE audit_log (
    idx       BIGINT PRIMARY KEY,
    prev_hash TEXT COLLATE "C" NOT NULL,
    hash      TEXT COLLATE "C" NOT NULL,
    file      TEXT COLLATE "C" NOT NULL,
    seq       BIGINT NOT NULL,
    doc       BYTEA    NOT NULL,
    UNIQUE (file, seq)
);

-- The last epoch handed out; it only grows, so a later lease has a greater one.
CREATE TABLE epoch (one BIGINT PRIMARY KEY, n BIGINT NOT NULL);
INSERT INTO epoch (one, n) VALUES (1, 0);

CREATE TABLE node (
    name  TEXT COLLATE "C" PRIMARY KEY,
    epoch BIGINT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE lease (
    name  TEXT COLLATE "C" PRIMARY KEY,
    node  TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE timer (
    id      TEXT COLLATE "C" PRIMARY KEY,
    at      BIGINT NOT NULL,
    payload BYTEA    NOT NULL
);
CREATE INDEX timer_at ON timer (at, id);

CREATE TABLE stop_switch (
    one     BIGINT PRIMARY KEY,
    on_     BIGINT NOT NULL,
    reason  TEXT COLLATE "C" NOT NULL,
    since   BIGINT NOT NULL
);
INSERT INTO stop_switch (one, on_, reason, since) VALUES (1, 0, '', 0);

CREATE TABLE outbox (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            TEXT COLLATE "C" NOT NULL UNIQUE,
    topic         TEXT COLLATE "C" NOT NULL,
    payload       BYTEA    NOT NULL,
    state         BIGINT NOT NULL,
    since         BIGINT NOT NULL,
    due_at        BIGINT NOT NULL,
    claimed_by    TEXT COLLATE "C" NOT NULL,
    claimed_until BIGINT NOT NULL,
    claims        BIGINT NOT NULL,
    attempts      BIGINT NOT NULL,
    reason        TEXT COLLATE "C" NOT NULL,
    done_at       BIGINT NOT NULL
);
CREATE INDEX outbox_due  ON outbox (topic, due_at, seq) WHERE state = 0;
CREATE INDEX outbox_done ON outbox (state, done_at) WHERE state <> 0;

CREATE TABLE audit_outbox (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    doc BYTEA NOT NULL
);
