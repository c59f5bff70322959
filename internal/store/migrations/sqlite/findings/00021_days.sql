-- +goose Up

-- The rows of one day stand together: a commit touches today's pages and not one for
-- each account, however many days are kept.
ALTER TABLE finding_day RENAME TO finding_day_before;
DROP INDEX finding_day_prune;
CREATE TABLE finding_day (
    day        INTEGER NOT NULL,
    account    TEXT    NOT NULL,
    control    TEXT    NOT NULL,
    severity   TEXT    NOT NULL,
    active     INTEGER NOT NULL,
    fresh      INTEGER NOT NULL,
    resolved   INTEGER NOT NULL,
    suppressed INTEGER NOT NULL,
    PRIMARY KEY (day, account, control, severity)
) WITHOUT ROWID;
INSERT INTO finding_day (day, account, control, severity, active, fresh, resolved, suppressed)
SELECT day, account, control, severity, active, fresh, resolved, suppressed FROM finding_day_before ORDER BY day, account, control, severity;
DROP TABLE finding_day_before;
