-- +goose Up

-- What an execution is of, so that it can be listed as Systems Manager lists
-- automations. about and result are sealed: parameters, outputs, failure.
ALTER TABLE execution ADD COLUMN parent         TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN root           TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN document       TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN version        TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN account        TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN region         TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN target         TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN started_by     TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN token          TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN current_step   TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN current_action TEXT    NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN parked         INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN cross_account        INTEGER NOT NULL DEFAULT 0;
-- The number of the last signal that was put.
ALTER TABLE execution ADD COLUMN signals        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN about          BLOB    NOT NULL DEFAULT x'';
ALTER TABLE execution ADD COLUMN result         BLOB    NOT NULL DEFAULT x'';
CREATE INDEX execution_started     ON execution (started_at, id);
CREATE INDEX execution_account     ON execution (account, started_at, id);
CREATE INDEX execution_status      ON execution (status, started_at, id);
CREATE INDEX execution_parent      ON execution (parent, started_at, id) WHERE parent <> '';
CREATE INDEX execution_remediation ON execution (remediation);
CREATE UNIQUE INDEX execution_token ON execution (token) WHERE token <> '';

-- An approval may be of a step (aws:approve) and not of a plan.
ALTER TABLE approval ADD COLUMN step TEXT NOT NULL DEFAULT '';

-- Of a step: its execution and name.
CREATE INDEX approval_step ON approval (step, created_at) WHERE step <> '';

ALTER TABLE step ADD COLUMN step_id TEXT NOT NULL DEFAULT '';

CREATE TABLE execution_signal (
    execution TEXT    NOT NULL,
    n         INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    sealed    BLOB    NOT NULL,
    PRIMARY KEY (execution, n)
) WITHOUT ROWID;

-- The answered calls of a script that is under way; gone when its step is done.
CREATE TABLE script_call (
    execution TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    n         INTEGER NOT NULL,
    sealed    BLOB    NOT NULL,
    PRIMARY KEY (execution, key, n)
) WITHOUT ROWID;

-- Contents by their SHA-256, sealed; kept as long as something uses them.
CREATE TABLE blob (
    sha256 TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    put_at INTEGER NOT NULL,
    sealed BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX blob_put ON blob (put_at);
CREATE TABLE blob_use (
    owner  TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (owner, sha256)
) WITHOUT ROWID;
CREATE INDEX blob_use_sha256 ON blob_use (sha256);

CREATE TABLE document (
    name            TEXT PRIMARY KEY,
    latest          INTEGER NOT NULL,
    default_version INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    rev             INTEGER NOT NULL,
    doc             BLOB    NOT NULL
) WITHOUT ROWID;

CREATE TABLE document_version (
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    revision TEXT    NOT NULL,
    doc      BLOB    NOT NULL,
    content  BLOB    NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
CREATE UNIQUE INDEX document_version_revision ON document_version (name, revision);
