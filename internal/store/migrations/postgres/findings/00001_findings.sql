-- +goose Up

-- Text is collated "C" so that order and comparison are those of SQLite.

-- What came in and was not looked at yet. No index beside the key: accepting
-- must stay cheap.
CREATE TABLE inbox (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      TEXT COLLATE "C" NOT NULL,
    trusted     BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    doc         BYTEA    NOT NULL
);

-- Who is who: one row per finding, unique across accounts. The key is a digest
-- of ProductArn and Id, which together may be longer than an index entry.
CREATE TABLE finding_identity (
    key     TEXT COLLATE "C" PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    rid     BIGINT NOT NULL
) PARTITION BY HASH (key);

CREATE SEQUENCE finding_rid AS BIGINT;


CREATE TABLE finding (
    rid                 BIGINT NOT NULL,
    account             TEXT COLLATE "C" NOT NULL,
    product_arn         TEXT COLLATE "C" NOT NULL,
    id                  TEXT COLLATE "C" NOT NULL,
    rev                 BIGINT NOT NULL,
    region              TEXT COLLATE "C" NOT NULL,
    control             TEXT COLLATE "C" NOT NULL,
    generator           TEXT COLLATE "C" NOT NULL,
    product             TEXT COLLATE "C" NOT NULL,
    severity            TEXT COLLATE "C" NOT NULL,
    severity_normalized BIGINT NOT NULL,
    workflow            TEXT COLLATE "C" NOT NULL,
    record_state        TEXT COLLATE "C" NOT NULL,
    compliance          TEXT COLLATE "C" NOT NULL,
    resource_id         TEXT COLLATE "C" NOT NULL,
    resource_type       TEXT COLLATE "C" NOT NULL,
    title               TEXT COLLATE "C" NOT NULL,
    source              TEXT COLLATE "C" NOT NULL,
    trusted             BIGINT NOT NULL,
    touched             TEXT COLLATE "C" NOT NULL,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    stored_at           BIGINT NOT NULL,
    PRIMARY KEY (account, rid)
) PARTITION BY HASH (account);

CREATE INDEX finding_updated  ON finding (updated_at, rid);
CREATE INDEX finding_account  ON finding (account, updated_at, rid);
CREATE INDEX finding_control  ON finding (control, region, updated_at, rid);
CREATE INDEX finding_severity ON finding (severity_normalized, updated_at, rid);
CREATE INDEX finding_state    ON finding (record_state, workflow, updated_at, rid);
CREATE INDEX finding_resource ON finding (resource_id, updated_at, rid);

-- Final and original document in one compressed frame (store/document.go).
CREATE TABLE finding_doc (
    account TEXT COLLATE "C" NOT NULL,
    rid     BIGINT NOT NULL,
    docs    BYTEA  NOT NULL,
    PRIMARY KEY (account, rid)
) PARTITION BY HASH (account);
-- The documents are compressed already.
ALTER TABLE finding_doc ALTER COLUMN docs SET STORAGE EXTERNAL;

-- +goose StatementBegin
DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format('CREATE TABLE finding_identity_%s PARTITION OF finding_identity FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
        EXECUTE format('CREATE TABLE finding_%s PARTITION OF finding FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
        EXECUTE format('CREATE TABLE finding_doc_%s PARTITION OF finding_doc FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
    END LOOP;
END
$$;
-- +goose StatementEnd

CREATE TABLE finding_event (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rid     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    doc     BYTEA    NOT NULL
);
CREATE INDEX finding_event_rid ON finding_event (rid, seq);

-- How many findings there are of each kind, kept by the commits themselves.
CREATE TABLE finding_count (
    account      TEXT COLLATE "C" NOT NULL,
    region       TEXT COLLATE "C" NOT NULL,
    control      TEXT COLLATE "C" NOT NULL,
    severity     TEXT COLLATE "C" NOT NULL,
    workflow     TEXT COLLATE "C" NOT NULL,
    record_state TEXT COLLATE "C" NOT NULL,
    n            BIGINT NOT NULL,
    PRIMARY KEY (account, region, control, severity, workflow, record_state)
);

CREATE TABLE api_key (
    access_key_id TEXT COLLATE "C" PRIMARY KEY,
    secret        BYTEA    NOT NULL,
    doc           BYTEA    NOT NULL,
    created_at    BIGINT NOT NULL,
    revoked_at    BIGINT NOT NULL
);

CREATE TABLE seen_signature (
    digest BYTEA PRIMARY KEY,
    until  BIGINT NOT NULL
);
CREATE INDEX seen_signature_until ON seen_signature (until);

-- state: 0 waiting or claimed, 1 delivered, 2 dead.
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
