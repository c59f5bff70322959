-- +goose Up

-- What a source sent and Parry could not accept, with the reason.
CREATE TABLE rejected (
    id         TEXT COLLATE "C" PRIMARY KEY,
    source     TEXT COLLATE "C" NOT NULL,
    place      TEXT   NOT NULL,
    finding_id TEXT   NOT NULL,
    code       TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    times      BIGINT NOT NULL,
    cut        BIGINT NOT NULL,
    body       BYTEA  NOT NULL
);
CREATE INDEX rejected_at     ON rejected (at, id);
CREATE INDEX rejected_source ON rejected (source, at, id);

-- How far a source has come, for one that reads by itself.
CREATE TABLE source_state (
    name TEXT COLLATE "C" PRIMARY KEY,
    doc  BYTEA  NOT NULL,
    at   BIGINT NOT NULL
);

-- Findings that report one control on one resource: the least rank, then the
-- oldest row, is the main one.
CREATE TABLE finding_link (
    rid     BIGINT PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    rank    BIGINT NOT NULL
);
CREATE INDEX finding_link_key ON finding_link (key, rank, rid);
