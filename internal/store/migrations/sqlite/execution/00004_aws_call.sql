-- +goose Up

-- Every call that the gate sent or refused, without the values that it carried.
CREATE TABLE aws_call (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    change_id   TEXT    NOT NULL,
    remediation TEXT    NOT NULL,
    execution   TEXT    NOT NULL,
    step        TEXT    NOT NULL,
    mode        TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    region      TEXT    NOT NULL,
    service     TEXT    NOT NULL,
    operation   TEXT    NOT NULL,
    class       TEXT    NOT NULL,
    resource    TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    http_status INTEGER NOT NULL,
    duration    INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    code        TEXT    NOT NULL,
    detail      TEXT    NOT NULL
);
CREATE INDEX aws_call_remediation ON aws_call (remediation, at, seq) WHERE remediation <> '';
CREATE INDEX aws_call_at ON aws_call (at);
-- A change has one row: written with its intent, completed with its outcome.
CREATE UNIQUE INDEX aws_call_change ON aws_call (change_id) WHERE change_id <> '';
