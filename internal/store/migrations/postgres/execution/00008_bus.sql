-- The event bus (docs/design/0025-event-bus.md).

-- What people keep of it: buses, rules with their targets, archives, replays,
-- connections and API destinations. bus is '' for what is of no bus.
CREATE TABLE bus_object (
    kind       TEXT COLLATE "C"    NOT NULL,
    bus        TEXT COLLATE "C"    NOT NULL,
    name       TEXT COLLATE "C"    NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    sealed     BYTEA    NOT NULL,
    PRIMARY KEY (kind, bus, name)
);

-- How many there are of a kind on a bus: a row to wait at, so that two writers do not
-- exceed the limit together.
CREATE TABLE bus_total (
    kind TEXT COLLATE "C"    NOT NULL,
    bus  TEXT COLLATE "C"    NOT NULL,
    n    BIGINT NOT NULL,
    PRIMARY KEY (kind, bus)
);

-- Counts the changes to what events are held against, so that every node sees them.
CREATE TABLE bus_revision (one BIGINT PRIMARY KEY, n BIGINT NOT NULL);
INSERT INTO bus_revision (one, n) VALUES (1, 0);

-- Events that have to be delivered or are archived. owner makes the first deliveries to
-- targets while open is 1; holds counts what still needs the row: the first deliveries
-- as one, each row of delivery and each of archived.
CREATE TABLE bus_event (
    seq     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bus     TEXT COLLATE "C"    NOT NULL,
    at      BIGINT NOT NULL,
    since   BIGINT NOT NULL,
    owner   TEXT COLLATE "C"    NOT NULL,
    open    BIGINT NOT NULL,
    holds   BIGINT NOT NULL,
    targets BYTEA    NOT NULL,
    doc     BYTEA    NOT NULL
);
CREATE INDEX bus_event_open ON bus_event (owner, seq) WHERE open = 1;

-- Deliveries that failed at first, or had to wait: state 0 waits, 2 was given up.
CREATE TABLE bus_delivery (
    seq           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event         BIGINT NOT NULL,
    rule          TEXT COLLATE "C"    NOT NULL,
    target        TEXT COLLATE "C"    NOT NULL,
    address       TEXT COLLATE "C"    NOT NULL,
    state         BIGINT NOT NULL,
    since         BIGINT NOT NULL,
    due_at        BIGINT NOT NULL,
    attempts      BIGINT NOT NULL,
    claimed_by    TEXT COLLATE "C"    NOT NULL,
    claimed_until BIGINT NOT NULL,
    claims        BIGINT NOT NULL,
    code          TEXT COLLATE "C"    NOT NULL,
    reason        TEXT COLLATE "C"    NOT NULL,
    died_at       BIGINT NOT NULL
);
CREATE INDEX bus_delivery_due  ON bus_delivery (address, due_at, seq) WHERE state = 0;
CREATE INDEX bus_delivery_dead ON bus_delivery (died_at, seq) WHERE state = 2;

CREATE TABLE archived (
    archive TEXT COLLATE "C"    NOT NULL,
    at      BIGINT NOT NULL,
    event   BIGINT NOT NULL,
    PRIMARY KEY (archive, at, event)
);
