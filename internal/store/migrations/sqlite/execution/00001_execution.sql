-- +goose Up

CREATE TABLE remediation (
    id          TEXT PRIMARY KEY,
    undo_of     TEXT    NOT NULL,
    finding     TEXT    NOT NULL,
    control     TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    doc         BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX remediation_created ON remediation (created_at, id);
CREATE INDEX remediation_account ON remediation (account, created_at, id);
CREATE INDEX remediation_state   ON remediation (state, created_at, id);
CREATE INDEX remediation_finding ON remediation (finding, created_at, id);
CREATE INDEX remediation_undo_of ON remediation (undo_of) WHERE undo_of <> '';

-- Sealed: the plan as the very text that was hashed.
CREATE TABLE plan (
    hash       TEXT PRIMARY KEY,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE approval (
    id          TEXT PRIMARY KEY,
    remediation TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    doc         BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX approval_created     ON approval (created_at, id);
CREATE INDEX approval_state       ON approval (state, created_at, id);
CREATE INDEX approval_remediation ON approval (remediation, created_at, id);
CREATE INDEX approval_due         ON approval (expires_at, id) WHERE state = 'pending';

-- Sealed: the recorded call with its input and before-image.
CREATE TABLE change_record (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    remediation TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    sealed      BLOB NOT NULL
);
CREATE INDEX change_remediation ON change_record (remediation, seq);

CREATE TABLE execution (
    id          TEXT PRIMARY KEY,
    remediation TEXT    NOT NULL,
    segment     INTEGER NOT NULL,
    status      TEXT    NOT NULL,
    state       BLOB    NOT NULL,
    lease_owner TEXT    NOT NULL,
    lease_epoch INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX execution_ended ON execution (ended_at) WHERE ended_at <> 0;

CREATE TABLE step (
    execution  TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    status     TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    PRIMARY KEY (execution, seq)
) WITHOUT ROWID;

CREATE TABLE audit_log (
    idx       INTEGER PRIMARY KEY,
    prev_hash TEXT    NOT NULL,
    hash      TEXT    NOT NULL,
    file      TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    doc       BLOB    NOT NULL,
    UNIQUE (file, seq)
);

-- The last epoch handed out; it only grows, so a later lease has a greater one.
CREATE TABLE epoch (one INTEGER PRIMARY KEY, n INTEGER NOT NULL);
INSERT INTO epoch (one, n) VALUES (1, 0);

CREATE TABLE node (
    name  TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE lease (
    name  TEXT PRIMARY KEY,
    node  TEXT    NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE timer (
    id      TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    payload BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX timer_at ON timer (at, id);

CREATE TABLE stop_switch (
    one     INTEGER PRIMARY KEY,
    on_     INTEGER NOT NULL,
    reason  TEXT    NOT NULL,
    since   INTEGER NOT NULL
);
INSERT INTO stop_switch (one, on_, reason, since) VALUES (1, 0, '', 0);

CREATE TABLE outbox (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    topic         TEXT    NOT NULL,
    payload       BLOB    NOT NULL,
    state         INTEGER NOT NULL,
    since         INTEGER NOT NULL,
    due_at        INTEGER NOT NULL,
    claimed_by    TEXT    NOT NULL,
    claimed_until INTEGER NOT NULL,
    claims        INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    reason        TEXT    NOT NULL,
    done_at       INTEGER NOT NULL
);
CREATE INDEX outbox_due  ON outbox (topic, due_at, seq) WHERE state = 0;
CREATE INDEX outbox_done ON outbox (state, done_at) WHERE state <> 0;

CREATE TABLE audit_outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    doc BLOB NOT NULL
);
