-- +goose Up

-- Automation rules that were made through the API. What a rule says is in doc;
-- the columns are those by which it is found. token makes creation idempotent.
CREATE TABLE automation_rule (
    id         TEXT COLLATE "C" PRIMARY KEY,
    arn        TEXT COLLATE "C" NOT NULL UNIQUE,
    version    BIGINT NOT NULL,
    token      TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    doc        BYTEA NOT NULL
);
CREATE UNIQUE INDEX automation_rule_token ON automation_rule (token) WHERE token <> '';

-- Moves with every change of a rule, so that a node sees by one row whether the
-- rules that it has compiled are still in force.
CREATE TABLE automation_rule_revision (
    one BIGINT PRIMARY KEY,
    rev BIGINT NOT NULL
);
INSERT INTO automation_rule_revision (one, rev) VALUES (1, 1);

-- How often a rule applied, stored or configured; kept by the commits themselves.
CREATE TABLE automation_rule_hit (
    rule    TEXT COLLATE "C" PRIMARY KEY,
    matched BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

-- Runs of a rule over what is stored. A run that has not ended has ended_at 0.
CREATE TABLE automation_rule_run (
    id         TEXT COLLATE "C" PRIMARY KEY,
    rule       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    doc        BYTEA NOT NULL
);
CREATE INDEX automation_rule_run_rule ON automation_rule_run (rule, created_at, id);
CREATE INDEX automation_rule_run_page ON automation_rule_run (created_at, id);
CREATE INDEX automation_rule_run_open ON automation_rule_run (created_at, id) WHERE ended_at = 0;
