-- +goose Up

-- The types of a finding, each between two line feeds. It is read with the table, not
-- found by an index. Findings of an earlier schema get theirs as they are entered in
-- the search tables again.
ALTER TABLE finding ADD COLUMN types TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE finding_unsearched SET rid = (SELECT COALESCE(MAX(rid), 0) FROM finding);
