-- +goose Up

-- What people keep in Security Hub: insights (kind insight) and custom actions
-- (kind action). What one says is in doc; the columns are those by which it is found.
CREATE TABLE hub_object (
    arn        TEXT    PRIMARY KEY,
    kind       TEXT    NOT NULL,
    region     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    doc        BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX hub_object_page ON hub_object (kind, created_at, arn);

-- How many there are of a kind in a Region: a row to wait at, so that two writers
-- do not exceed the limit together.
CREATE TABLE hub_object_total (
    kind   TEXT    NOT NULL,
    region TEXT    NOT NULL,
    n      INTEGER NOT NULL,
    PRIMARY KEY (kind, region)
) WITHOUT ROWID;

-- What changed on each day (days since 1970, UTC), kept by the commits themselves:
-- by how much the active findings became more, and how many became new, resolved and
-- suppressed. How many were active at the end of a day follows from the counters of
-- now and the changes since. Like the counters, once whole and twice coarser.
CREATE TABLE finding_day (
    account    TEXT    NOT NULL,
    day        INTEGER NOT NULL,
    control    TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    active     INTEGER NOT NULL,
    fresh      INTEGER NOT NULL,
    resolved   INTEGER NOT NULL,
    suppressed INTEGER NOT NULL,
    PRIMARY KEY (account, day, control, severity)
) WITHOUT ROWID;
CREATE INDEX finding_day_prune ON finding_day (day);

CREATE TABLE finding_day_kind (
    day        INTEGER NOT NULL,
    control    TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    active     INTEGER NOT NULL,
    fresh      INTEGER NOT NULL,
    resolved   INTEGER NOT NULL,
    suppressed INTEGER NOT NULL,
    PRIMARY KEY (day, control, severity)
) WITHOUT ROWID;

CREATE TABLE finding_day_account (
    day        INTEGER NOT NULL,
    account    TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    active     INTEGER NOT NULL,
    fresh      INTEGER NOT NULL,
    resolved   INTEGER NOT NULL,
    suppressed INTEGER NOT NULL,
    PRIMARY KEY (day, account, severity)
) WITHOUT ROWID;
