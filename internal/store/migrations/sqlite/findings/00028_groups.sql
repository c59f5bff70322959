-- +goose Up

-- Findings that report one control on one resource are found by the resource itself:
-- a table of groups cost every new finding a row and a place in an index of digests.
DROP TABLE finding_link;
DROP INDEX finding_resource;
CREATE INDEX finding_resource ON finding (resource_id, lower(control));
