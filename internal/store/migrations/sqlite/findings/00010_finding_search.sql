-- +goose Up

-- Title and description of each finding in lower case, apart from its columns:
-- a search for words reads every row of this table, so the rows are small.
CREATE TABLE finding_text (
    rid  INTEGER PRIMARY KEY REFERENCES finding (rid),
    text TEXT NOT NULL
);

-- The resources of a finding behind its first one, which is a column.
CREATE TABLE finding_further (
    resource_id TEXT    NOT NULL,
    rid         INTEGER NOT NULL REFERENCES finding (rid),
    PRIMARY KEY (resource_id, rid)
) WITHOUT ROWID;
CREATE INDEX finding_further_rid ON finding_further (rid);

-- How many resources a finding has. 2 is the safe answer for findings that were
-- there before: their documents are asked.
ALTER TABLE finding ADD COLUMN resources INTEGER NOT NULL DEFAULT 2;

-- Findings up to this row number are still to be entered in the two tables;
-- the store does so when it starts, since SQL cannot read documents.
CREATE TABLE finding_unsearched (
    rid INTEGER NOT NULL
);
INSERT INTO finding_unsearched (rid) SELECT COALESCE(MAX(rid), 0) FROM finding;
