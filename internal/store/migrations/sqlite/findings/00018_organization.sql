-- +goose Up

-- The accounts of the organization, as AWS showed them last.
CREATE TABLE org_member (
    id         TEXT PRIMARY KEY,
    name       TEXT    NOT NULL,
    unit       TEXT    NOT NULL,
    unit_ids   TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    tags       TEXT    NOT NULL,
    joined_at  INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    tags_at    INTEGER NOT NULL,
    rev        INTEGER NOT NULL
) WITHOUT ROWID;

-- What happened to them.
CREATE TABLE org_change (
    account TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    was     TEXT    NOT NULL,
    became  TEXT    NOT NULL,
    PRIMARY KEY (account, at, kind)
) WITHOUT ROWID;
CREATE INDEX org_change_at ON org_change (at, account, kind);

-- What Parry can see and do, by account and region.
CREATE TABLE org_coverage (
    account    TEXT    NOT NULL,
    region     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    next       TEXT    NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (account, region)
) WITHOUT ROWID;

-- When a source last brought something.
CREATE TABLE org_sighting (
    account TEXT    NOT NULL,
    region  TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (account, region, source)
) WITHOUT ROWID;
CREATE INDEX org_sighting_at ON org_sighting (at);
