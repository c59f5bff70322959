-- +goose Up

-- On PostgreSQL this step lays the tables of findings out anew. SQLite has no parts to
-- join and keeps what it has; the number is the same, so that a backup of one fits the other.
SELECT 1;
