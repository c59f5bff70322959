-- +goose Up

-- What a source sent and Parry could not accept, with the reason.
CREATE TABLE rejected (
    id         TEXT PRIMARY KEY,
    source     TEXT    NOT NULL,
    place      TEXT    NOT NULL,
    finding_id TEXT    NOT NULL,
    code       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    times      INTEGER NOT NULL,
    cut        INTEGER NOT NULL,
    body       BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX rejected_at     ON rejected (at, id);
CREATE INDEX rejected_source ON rejected (source, at, id);

-- How far a source has come, for one that reads by itself.
CREATE TABLE source_state (
    name TEXT PRIMARY KEY,
    doc  BLOB    NOT NULL,
    at   INTEGER NOT NULL
) WITHOUT ROWID;

-- Findings that report one control on one resource: the least rank, then the
-- oldest row, is the main one.
CREATE TABLE finding_link (
    rid     INTEGER PRIMARY KEY,
    account TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    rank    INTEGER NOT NULL
);
CREATE INDEX finding_link_key ON finding_link (key, rank, rid);
