-- +goose Up

-- Automation rules that were made through the API. What a rule says is in doc;
-- the columns are those by which it is found. token makes creation idempotent.
CREATE TABLE automation_rule (
    id         TEXT    PRIMARY KEY,
    arn        TEXT    NOT NULL UNIQUE,
    version    INTEGER NOT NULL,
    token      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    doc        BLOB    NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX automation_rule_token ON automation_rule (token) WHERE token <> '';

-- Moves with every change of a rule, so that a node sees by one row whether the
-- rules that it has compiled are still in force.
CREATE TABLE automation_rule_revision (
    one INTEGER PRIMARY KEY,
    rev INTEGER NOT NULL
);
INSERT INTO automation_rule_revision (one, rev) VALUES (1, 1);

-- How often a rule applied, stored or configured; kept by the commits themselves.
CREATE TABLE automation_rule_hit (
    rule    TEXT    PRIMARY KEY,
    matched INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Runs of a rule over what is stored. A run that has not ended has ended_at 0.
CREATE TABLE automation_rule_run (
    id         TEXT    PRIMARY KEY,
    rule       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    doc        BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX automation_rule_run_rule ON automation_rule_run (rule, created_at, id);
CREATE INDEX automation_rule_run_page ON automation_rule_run (created_at, id);
CREATE INDEX automation_rule_run_open ON automation_rule_run (created_at, id) WHERE ended_at = 0;
