-- +goose Up

-- Two coarser counters beside finding_count, which has a row for each account
-- and control: a count over all accounts, or over all controls of each, would
-- read hundreds of thousands of them.
CREATE TABLE finding_count_kind (
    region       TEXT    NOT NULL,
    control      TEXT    NOT NULL,
    severity     TEXT    NOT NULL,
    workflow     TEXT    NOT NULL,
    record_state TEXT    NOT NULL,
    n            INTEGER NOT NULL,
    PRIMARY KEY (region, control, severity, workflow, record_state)
) WITHOUT ROWID;

CREATE TABLE finding_count_account (
    account      TEXT    NOT NULL,
    severity     TEXT    NOT NULL,
    workflow     TEXT    NOT NULL,
    record_state TEXT    NOT NULL,
    n            INTEGER NOT NULL,
    PRIMARY KEY (account, severity, workflow, record_state)
) WITHOUT ROWID;

INSERT INTO finding_count_kind (region, control, severity, workflow, record_state, n)
SELECT region, control, severity, workflow, record_state, SUM(n) FROM finding_count GROUP BY region, control, severity, workflow, record_state;

INSERT INTO finding_count_account (account, severity, workflow, record_state, n)
SELECT account, severity, workflow, record_state, SUM(n) FROM finding_count GROUP BY account, severity, workflow, record_state;
