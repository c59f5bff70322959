-- +goose Up

-- Findings, documents and identities in one table each instead of 16 parts: the parts
-- made every statement ask, route and lock sixteen times, and what they are good for,
-- dropping or moving one, nothing did. The numbers stand before the texts, so that no
-- byte is lost between them.
ALTER TABLE finding RENAME TO finding_parts;
CREATE TABLE finding (
    rid                 BIGINT NOT NULL,
    rev                 BIGINT NOT NULL,
    severity_normalized BIGINT NOT NULL,
    trusted             BIGINT NOT NULL,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    stored_at           BIGINT NOT NULL,
    resources           BIGINT NOT NULL,
    priority            BIGINT NOT NULL,
    due_at              BIGINT NOT NULL,
    overdue             BIGINT NOT NULL,
    threat              BIGINT NOT NULL,
    exempt_at           BIGINT NOT NULL,
    account             TEXT COLLATE "C" NOT NULL,
    product_arn         TEXT COLLATE "C" NOT NULL,
    id                  TEXT COLLATE "C" NOT NULL,
    region              TEXT COLLATE "C" NOT NULL,
    control             TEXT COLLATE "C" NOT NULL,
    generator           TEXT COLLATE "C" NOT NULL,
    product             TEXT COLLATE "C" NOT NULL,
    severity            TEXT COLLATE "C" NOT NULL,
    workflow            TEXT COLLATE "C" NOT NULL,
    record_state        TEXT COLLATE "C" NOT NULL,
    compliance          TEXT COLLATE "C" NOT NULL,
    resource_id         TEXT COLLATE "C" NOT NULL,
    resource_type       TEXT COLLATE "C" NOT NULL,
    title               TEXT COLLATE "C" NOT NULL,
    source              TEXT COLLATE "C" NOT NULL,
    touched             TEXT COLLATE "C" NOT NULL,
    evidence            TEXT COLLATE "C" NOT NULL,
    exception           TEXT COLLATE "C" NOT NULL,
    types               TEXT COLLATE "C" NOT NULL
);
INSERT INTO finding (rid, rev, severity_normalized, trusted, created_at, updated_at, stored_at, resources, priority, due_at, overdue, threat,
    exempt_at, account, product_arn, id, region, control, generator, product, severity, workflow, record_state, compliance, resource_id,
    resource_type, title, source, touched, evidence, exception, types)
SELECT rid, rev, severity_normalized, trusted, created_at, updated_at, stored_at, resources, priority, due_at, overdue, threat,
    exempt_at, account, product_arn, id, region, control, generator, product, severity, workflow, record_state, compliance, resource_id,
    resource_type, title, source, touched, evidence, exception, types
FROM finding_parts ORDER BY rid;
DROP TABLE finding_parts;
ALTER TABLE finding ADD PRIMARY KEY (rid);
CREATE INDEX finding_updated   ON finding (updated_at, rid);
CREATE INDEX finding_account   ON finding (account, updated_at, rid);
CREATE INDEX finding_control   ON finding (control, region, updated_at, rid);
CREATE INDEX finding_severity  ON finding (severity_normalized, updated_at, rid);
CREATE INDEX finding_state     ON finding (record_state, workflow, updated_at, rid);
CREATE INDEX finding_priority  ON finding (priority, updated_at, rid);
CREATE INDEX finding_due       ON finding (due_at, rid) WHERE overdue = 0 AND due_at > 0;
CREATE INDEX finding_threat    ON finding (resource_id) WHERE threat = 1;
CREATE INDEX finding_exception ON finding (exception, updated_at, rid) WHERE exception <> '';
-- A resource has few findings and is asked for by its whole id: four bytes of a hash
-- find it as well as all of the name.
CREATE INDEX finding_resource  ON finding USING hash (resource_id);

ALTER TABLE finding_doc RENAME TO finding_doc_parts;
CREATE TABLE finding_doc (
    rid     BIGINT NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    docs    BYTEA  NOT NULL
);
ALTER TABLE finding_doc ALTER COLUMN docs SET STORAGE EXTERNAL;
INSERT INTO finding_doc (rid, account, docs) SELECT rid, account, docs FROM finding_doc_parts ORDER BY rid;
DROP TABLE finding_doc_parts;
ALTER TABLE finding_doc ADD PRIMARY KEY (rid);

ALTER TABLE finding_identity RENAME TO finding_identity_parts;
CREATE TABLE finding_identity (
    rid     BIGINT NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL
);
INSERT INTO finding_identity (rid, account, key) SELECT rid, account, key FROM finding_identity_parts ORDER BY rid;
DROP TABLE finding_identity_parts;
ALTER TABLE finding_identity ADD PRIMARY KEY (key);

DROP INDEX finding_link_key;
CREATE INDEX finding_link_key ON finding_link USING hash (key);

-- A finding has few entries: they are sorted when they are read.
DROP INDEX finding_event_rid;
CREATE INDEX finding_event_rid ON finding_event (rid);

-- Every finding of a control has the same title and description: each text is kept
-- once, under the first half of its SHA-256. What the store asks is still called
-- finding_text and has the columns that it has on SQLite.
CREATE TABLE finding_words (
    key  UUID NOT NULL,
    text TEXT COLLATE "C" NOT NULL
);
ALTER TABLE finding_words ALTER COLUMN text SET STORAGE EXTERNAL;
CREATE TABLE finding_worded (
    rid   BIGINT NOT NULL,
    words UUID   NOT NULL
);
INSERT INTO finding_worded (rid, words)
SELECT rid, substr(encode(sha256(convert_to(text, 'UTF8')), 'hex'), 1, 32)::uuid FROM finding_text ORDER BY rid;
ALTER TABLE finding_worded ADD PRIMARY KEY (rid);
INSERT INTO finding_words (key, text)
SELECT DISTINCT ON (d.words) d.words, t.text FROM finding_worded d JOIN finding_text t ON t.rid = d.rid ORDER BY d.words;
ALTER TABLE finding_words ADD PRIMARY KEY (key);
CREATE INDEX finding_worded_words ON finding_worded (words);
DROP TABLE finding_text;
CREATE VIEW finding_text AS SELECT d.rid, w.text FROM finding_worded d JOIN finding_words w ON w.key = d.words;

-- For whoever copies a database table by table; the store writes the two tables.
-- +goose StatementBegin
CREATE FUNCTION finding_text_write() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    digest UUID;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM finding_worded WHERE rid = OLD.rid;
        RETURN OLD;
    END IF;
    digest := substr(encode(sha256(convert_to(NEW.text, 'UTF8')), 'hex'), 1, 32)::uuid;
    INSERT INTO finding_words (key, text) VALUES (digest, NEW.text) ON CONFLICT DO NOTHING;
    INSERT INTO finding_worded (rid, words) VALUES (NEW.rid, digest);
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER finding_text_write INSTEAD OF INSERT OR DELETE ON finding_text FOR EACH ROW EXECUTE FUNCTION finding_text_write();

ANALYZE finding;
ANALYZE finding_doc;
ANALYZE finding_identity;
ANALYZE finding_words;
ANALYZE finding_worded;
