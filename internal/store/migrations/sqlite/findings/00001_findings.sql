-- +goose Up

-- What came in and was not looked at yet. No index beside the key: accepting
-- must stay cheap. AUTOINCREMENT keeps a number from being used twice.
CREATE TABLE inbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    source      TEXT    NOT NULL,
    trusted     INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    doc         BLOB    NOT NULL
);

-- Who is who: one row per finding, unique across accounts. The key is a digest
-- of ProductArn and Id, which together may be longer than an index entry.
CREATE TABLE finding_identity (
    key     TEXT PRIMARY KEY,
    account TEXT    NOT NULL,
    rid     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE finding (
    rid                 INTEGER PRIMARY KEY,
    account             TEXT    NOT NULL,
    product_arn         TEXT    NOT NULL,
    id                  TEXT    NOT NULL,
    rev                 INTEGER NOT NULL,
    region              TEXT    NOT NULL,
    control             TEXT    NOT NULL,
    generator           TEXT    NOT NULL,
    product             TEXT    NOT NULL,
    severity            TEXT    NOT NULL,
    severity_normalized INTEGER NOT NULL,
    workflow            TEXT    NOT NULL,
    record_state        TEXT    NOT NULL,
    compliance          TEXT    NOT NULL,
    resource_id         TEXT    NOT NULL,
    resource_type       TEXT    NOT NULL,
    title               TEXT    NOT NULL,
    source              TEXT    NOT NULL,
    trusted             INTEGER NOT NULL,
    touched             TEXT    NOT NULL,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    stored_at           INTEGER NOT NULL
);
CREATE INDEX finding_updated  ON finding (updated_at, rid);
CREATE INDEX finding_account  ON finding (account, updated_at, rid);
CREATE INDEX finding_control  ON finding (control, region, updated_at, rid);
CREATE INDEX finding_severity ON finding (severity_normalized, updated_at, rid);
CREATE INDEX finding_state    ON finding (record_state, workflow, updated_at, rid);
CREATE INDEX finding_resource ON finding (resource_id, updated_at, rid);

-- Final and original document in one compressed frame (store/document.go).
CREATE TABLE finding_doc (
    rid  INTEGER PRIMARY KEY REFERENCES finding (rid),
    docs BLOB NOT NULL
);

CREATE TABLE finding_event (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    rid     INTEGER NOT NULL REFERENCES finding (rid),
    at      INTEGER NOT NULL,
    doc     BLOB    NOT NULL
);
CREATE INDEX finding_event_rid ON finding_event (rid, seq);

-- How many findings there are of each kind, kept by the commits themselves.
CREATE TABLE finding_count (
    account      TEXT    NOT NULL,
    region       TEXT    NOT NULL,
    control      TEXT    NOT NULL,
    severity     TEXT    NOT NULL,
    workflow     TEXT    NOT NULL,
    record_state TEXT    NOT NULL,
    n            INTEGER NOT NULL,
    PRIMARY KEY (account, region, control, severity, workflow, record_state)
) WITHOUT ROWID;

CREATE TABLE api_key (
    access_key_id TEXT PRIMARY KEY,
    secret        BLOB    NOT NULL,
    doc           BLOB    NOT NULL,
    created_at    INTEGER NOT NULL,
    revoked_at    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE seen_signature (
    digest BLOB PRIMARY KEY,
    until  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX seen_signature_until ON seen_signature (until);

-- state: 0 waiting or claimed, 1 delivered, 2 dead.
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
