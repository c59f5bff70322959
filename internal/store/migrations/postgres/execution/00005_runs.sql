-- +goose Up

-- What an execution is of, so that it can be listed as Systems Manager lists
-- automations. about and result are sealed: parameters, outputs, failure.
ALTER TABLE execution ADD COLUMN parent         TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN root           TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN document       TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN version        TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN account        TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN region         TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN target         TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN started_by     TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN token          TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN current_step   TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN current_action TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN parked         BIGINT NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN cross_account         BIGINT NOT NULL DEFAULT 0;
-- The number of the last signal that was put.
ALTER TABLE execution ADD COLUMN signals        BIGINT NOT NULL DEFAULT 0;
ALTER TABLE execution ADD COLUMN about          BYTEA NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN result         BYTEA NOT NULL DEFAULT '';
CREATE INDEX execution_started     ON execution (started_at, id);
CREATE INDEX execution_account     ON execution (account, started_at, id);
CREATE INDEX execution_status      ON execution (status, started_at, id);
CREATE INDEX execution_parent      ON execution (parent, started_at, id) WHERE parent <> '';
CREATE INDEX execution_remediation ON execution (remediation);
CREATE UNIQUE INDEX execution_token ON execution (token) WHERE token <> '';

-- An approval may be of a step (aws:approve) and not of a plan.
ALTER TABLE approval ADD COLUMN step TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Of a step: its execution and name.
CREATE INDEX approval_step ON approval (step, created_at) WHERE step <> '';

ALTER TABLE step ADD COLUMN step_id TEXT COLLATE "C" NOT NULL DEFAULT '';

CREATE TABLE execution_signal (
    execution TEXT COLLATE "C" NOT NULL,
    n         BIGINT NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL,
    sealed    BYTEA    NOT NULL,
    PRIMARY KEY (execution, n)
);

-- The answered calls of a script that is under way; gone when its step is done.
CREATE TABLE script_call (
    execution TEXT COLLATE "C" NOT NULL,
    key       TEXT COLLATE "C" NOT NULL,
    n         BIGINT NOT NULL,
    sealed    BYTEA    NOT NULL,
    PRIMARY KEY (execution, key, n)
);

-- Contents by their SHA-256, sealed; kept as long as something uses them.
CREATE TABLE blob (
    sha256 TEXT COLLATE "C" PRIMARY KEY,
    size   BIGINT NOT NULL,
    put_at BIGINT NOT NULL,
    sealed BYTEA    NOT NULL
);
CREATE INDEX blob_put ON blob (put_at);
CREATE TABLE blob_use (
    owner  TEXT COLLATE "C" NOT NULL,
    sha256 TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, sha256)
);
CREATE INDEX blob_use_sha256 ON blob_use (sha256);

CREATE TABLE document (
    name            TEXT COLLATE "C" PRIMARY KEY,
    latest          BIGINT NOT NULL,
    default_version BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    rev             BIGINT NOT NULL,
    doc             BYTEA    NOT NULL
);

CREATE TABLE document_version (
    name     TEXT COLLATE "C" NOT NULL,
    version  BIGINT NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    doc      BYTEA    NOT NULL,
    content  BYTEA    NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX document_version_revision ON document_version (name, revision);
