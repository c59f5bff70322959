-- +goose Up

-- Every call that the gate sent or refused, without the values that it carried.
CREATE TABLE aws_call (
    seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          BIGINT NOT NULL,
    change_id   TEXT COLLATE "C" NOT NULL,
    remediation TEXT COLLATE "C" NOT NULL,
    execution   TEXT COLLATE "C" NOT NULL,
    step        TEXT COLLATE "C" NOT NULL,
    mode        TEXT COLLATE "C" NOT NULL,
    account     TEXT COLLATE "C" NOT NULL,
    region      TEXT COLLATE "C" NOT NULL,
    service     TEXT COLLATE "C" NOT NULL,
    operation   TEXT COLLATE "C" NOT NULL,
    class       TEXT COLLATE "C" NOT NULL,
    resource    TEXT COLLATE "C" NOT NULL,
    digest      TEXT COLLATE "C" NOT NULL,
    request_id  TEXT COLLATE "C" NOT NULL,
    attempts    BIGINT NOT NULL,
    http_status BIGINT NOT NULL,
    duration    BIGINT NOT NULL,
    outcome     TEXT COLLATE "C" NOT NULL,
    code        TEXT COLLATE "C" NOT NULL,
    detail      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX aws_call_remediation ON aws_call (remediation, at, seq) WHERE remediation <> '';
CREATE INDEX aws_call_at ON aws_call (at);
-- A change has one row: written with its intent, completed with its outcome.
CREATE UNIQUE INDEX aws_call_change ON aws_call (change_id) WHERE change_id <> '';
