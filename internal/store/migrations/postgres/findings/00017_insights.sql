-- +goose Up

-- What people keep in Security Hub: insights (kind insight) and custom actions
-- (kind action). What one says is in doc; the columns are those by which it is found.
CREATE TABLE hub_object (
    arn        TEXT COLLATE "C" PRIMARY KEY,
    kind       TEXT COLLATE "C" NOT NULL,
    region     TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    doc        BYTEA NOT NULL
);
CREATE INDEX hub_object_page ON hub_object (kind, created_at, arn);

-- How many there are of a kind in a Region: a row to wait at, so that two writers
-- do not exceed the limit together.
CREATE TABLE hub_object_total (
    kind   TEXT COLLATE "C" NOT NULL,
    region TEXT COLLATE "C" NOT NULL,
    n      BIGINT NOT NULL,
    PRIMARY KEY (kind, region)
);

-- What changed on each day (days since 1970, UTC), kept by the commits themselves:
-- by how much the active findings became more, and how many became new, resolved and
-- suppressed. How many were active at the end of a day follows from the counters of
-- now and the changes since. Like the counters, once whole and twice coarser.
CREATE TABLE finding_day (
    account    TEXT COLLATE "C" NOT NULL,
    day        BIGINT NOT NULL,
    control    TEXT COLLATE "C" NOT NULL,
    severity   TEXT COLLATE "C" NOT NULL,
    active     BIGINT NOT NULL,
    fresh      BIGINT NOT NULL,
    resolved   BIGINT NOT NULL,
    suppressed BIGINT NOT NULL,
    PRIMARY KEY (account, day, control, severity)
);
CREATE INDEX finding_day_prune ON finding_day (day);

CREATE TABLE finding_day_kind (
    day        BIGINT NOT NULL,
    control    TEXT COLLATE "C" NOT NULL,
    severity   TEXT COLLATE "C" NOT NULL,
    active     BIGINT NOT NULL,
    fresh      BIGINT NOT NULL,
    resolved   BIGINT NOT NULL,
    suppressed BIGINT NOT NULL,
    PRIMARY KEY (day, control, severity)
);

CREATE TABLE finding_day_account (
    day        BIGINT NOT NULL,
    account    TEXT COLLATE "C" NOT NULL,
    severity   TEXT COLLATE "C" NOT NULL,
    active     BIGINT NOT NULL,
    fresh      BIGINT NOT NULL,
    resolved   BIGINT NOT NULL,
    suppressed BIGINT NOT NULL,
    PRIMARY KEY (day, account, severity)
);
