-- +goose Up

-- The last time that AWS complained about a rate, for all nodes to know: key is
-- account/region/service, rate in thousandths of a call a second. Rows matter for
-- a minute and are pruned.
CREATE TABLE throttle_cut (
    key  TEXT COLLATE "C" PRIMARY KEY,
    rate BIGINT NOT NULL,
    at   BIGINT NOT NULL
);
CREATE INDEX throttle_cut_at ON throttle_cut (at);
