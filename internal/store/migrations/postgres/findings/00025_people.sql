-- +goose Up

-- People who sign in at the console. What one may do (doc) is bound to the sealed
-- hash of the password, as with keys: a change of the row makes it unreadable.
CREATE TABLE person (
    name       TEXT COLLATE "C" PRIMARY KEY,
    hash       BYTEA  NOT NULL,
    doc        BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL
);

-- Who is signed in. The token itself is not stored, its digest is; seal binds the
-- row to it.
CREATE TABLE person_session (
    digest     BYTEA  PRIMARY KEY,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    address    TEXT COLLATE "C" NOT NULL,
    agent      TEXT COLLATE "C" NOT NULL,
    seal       BYTEA  NOT NULL
);
CREATE INDEX person_session_name ON person_session (name, created_at);
CREATE INDEX person_session_expires ON person_session (expires_at);

-- Tries to sign in that count against a limit: per name, per address, per both.
CREATE TABLE sign_in_try (
    bucket BYTEA  PRIMARY KEY,
    n      BIGINT NOT NULL,
    until  BIGINT NOT NULL
);
CREATE INDEX sign_in_try_until ON sign_in_try (until);

-- Views of a list that people keep: doc says name and question.
CREATE TABLE saved_view (
    id         TEXT COLLATE "C" PRIMARY KEY,
    owner      TEXT COLLATE "C" NOT NULL,
    page       TEXT COLLATE "C" NOT NULL,
    shared     BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    doc        BYTEA  NOT NULL
);
CREATE INDEX saved_view_owner ON saved_view (owner, created_at, id);
CREATE INDEX saved_view_shared ON saved_view (shared, created_at, id);

-- How many views a person has: a row to wait at, so that two writers do not exceed
-- the limit together.
CREATE TABLE saved_view_total (
    owner TEXT COLLATE "C" PRIMARY KEY,
    n     BIGINT NOT NULL
);
