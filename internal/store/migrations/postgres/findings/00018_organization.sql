-- +goose Up

-- The accounts of the organization, as AWS showed them last.
CREATE TABLE org_member (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT    NOT NULL,
    unit       TEXT    NOT NULL,
    unit_ids   TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    tags       TEXT    NOT NULL,
    joined_at  BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    tags_at    BIGINT NOT NULL,
    rev        BIGINT NOT NULL
);

-- What happened to them.
CREATE TABLE org_change (
    account TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    was     TEXT    NOT NULL,
    became  TEXT    NOT NULL,
    PRIMARY KEY (account, at, kind)
);
CREATE INDEX org_change_at ON org_change (at, account, kind);

-- What Parry can see and do, by account and region.
CREATE TABLE org_coverage (
    account    TEXT COLLATE "C" NOT NULL,
    region     TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    since      BIGINT NOT NULL,
    reason     TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    next       TEXT    NOT NULL,
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (account, region)
);

-- When a source last brought something.
CREATE TABLE org_sighting (
    account TEXT COLLATE "C" NOT NULL,
    region  TEXT COLLATE "C" NOT NULL,
    source  TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (account, region, source)
);
CREATE INDEX org_sighting_at ON org_sighting (at);
