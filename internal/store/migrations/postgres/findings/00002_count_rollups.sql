-- +goose Up

-- Two coarser counters beside finding_count, which has a row for each account
-- and control: a count over all accounts, or over all controls of each, would
-- read hundreds of thousands of them.
CREATE TABLE finding_count_kind (
    region       TEXT COLLATE "C" NOT NULL,
    control      TEXT COLLATE "C" NOT NULL,
    severity     TEXT COLLATE "C" NOT NULL,
    workflow     TEXT COLLATE "C" NOT NULL,
    record_state TEXT COLLATE "C" NOT NULL,
    n            BIGINT NOT NULL,
    PRIMARY KEY (region, control, severity, workflow, record_state)
);

CREATE TABLE finding_count_account (
    account      TEXT COLLATE "C" NOT NULL,
    severity     TEXT COLLATE "C" NOT NULL,
    workflow     TEXT COLLATE "C" NOT NULL,
    record_state TEXT COLLATE "C" NOT NULL,
    n            BIGINT NOT NULL,
    PRIMARY KEY (account, severity, workflow, record_state)
);

INSERT INTO finding_count_kind (region, control, severity, workflow, record_state, n)
SELECT region, control, severity, workflow, record_state, SUM(n) FROM finding_count GROUP BY region, control, severity, workflow, record_state;

INSERT INTO finding_count_account (account, severity, workflow, record_state, n)
SELECT account, severity, workflow, record_state, SUM(n) FROM finding_count GROUP BY account, severity, workflow, record_state;
