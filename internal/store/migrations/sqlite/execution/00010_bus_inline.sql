-- +goose Up

-- SQLite has events in their rows anyway: the step is PostgreSQL's, its number both's.
SELECT 1;
