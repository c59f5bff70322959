-- +goose Up

-- People who sign in at the console. What one may do (doc) is bound to the sealed
-- hash of the password, as with keys: a change of the row makes it unreadable.
CREATE TABLE person (
    name       TEXT    PRIMARY KEY,
    hash       BLOB    NOT NULL,
    doc        BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL
) WITHOUT ROWID;

-- Who is signed in. The token itself is not stored, its digest is; seal binds the
-- row to it.
CREATE TABLE person_session (
    digest     BLOB    PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    address    TEXT    NOT NULL,
    agent      TEXT    NOT NULL,
    seal       BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX person_session_name ON person_session (name, created_at);
CREATE INDEX person_session_expires ON person_session (expires_at);

-- Tries to sign in that count against a limit: per name, per address, per both.
CREATE TABLE sign_in_try (
    bucket BLOB    PRIMARY KEY,
    n      INTEGER NOT NULL,
    until  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sign_in_try_until ON sign_in_try (until);

-- Views of a list that people keep: doc says name and question.
CREATE TABLE saved_view (
    id         TEXT    PRIMARY KEY,
    owner      TEXT    NOT NULL,
    page       TEXT    NOT NULL,
    shared     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    doc        BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX saved_view_owner ON saved_view (owner, created_at, id);
CREATE INDEX saved_view_shared ON saved_view (shared, created_at, id);

-- How many views a person has: a row to wait at, so that two writers do not exceed
-- the limit together.
CREATE TABLE saved_view_total (
    owner TEXT    PRIMARY KEY,
    n     INTEGER NOT NULL
) WITHOUT ROWID;
