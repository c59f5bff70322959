-- The event bus (docs/design/0025-event-bus.md).

-- What people keep of it: buses, rules with their targets, archives, replays,
-- connections and API destinations. bus is '' for what is of no bus.
CREATE TABLE bus_object (
    kind       TEXT    NOT NULL,
    bus        TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    sealed     BLOB    NOT NULL,
    PRIMARY KEY (kind, bus, name)
) WITHOUT ROWID;

-- How many there are of a kind on a bus: a row to wait at, so that two writers do not
-- exceed the limit together.
CREATE TABLE bus_total (
    kind TEXT    NOT NULL,
    bus  TEXT    NOT NULL,
    n    INTEGER NOT NULL,
    PRIMARY KEY (kind, bus)
) WITHOUT ROWID;

-- Counts the changes to what events are held against, so that every node sees them.
CREATE TABLE bus_revision (one INTEGER PRIMARY KEY, n INTEGER NOT NULL);
INSERT INTO bus_revision (one, n) VALUES (1, 0);

-- Events that have to be delivered or are archived. owner makes the first deliveries to
-- targets while open is 1; holds counts what still needs the row: the first deliveries
-- as one, each row of delivery and each of archived.
CREATE TABLE bus_event (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    bus     TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    since   INTEGER NOT NULL,
    owner   TEXT    NOT NULL,
    open    INTEGER NOT NULL,
    holds   INTEGER NOT NULL,
    targets BLOB    NOT NULL,
    doc     BLOB    NOT NULL
);
CREATE INDEX bus_event_open ON bus_event (owner, seq) WHERE open = 1;

-- Deliveries that failed at first, or had to wait: state 0 waits, 2 was given up.
CREATE TABLE bus_delivery (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    event         INTEGER NOT NULL,
    rule          TEXT    NOT NULL,
    target        TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    state         INTEGER NOT NULL,
    since         INTEGER NOT NULL,
    due_at        INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    claimed_by    TEXT    NOT NULL,
    claimed_until INTEGER NOT NULL,
    claims        INTEGER NOT NULL,
    code          TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    died_at       INTEGER NOT NULL
);
CREATE INDEX bus_delivery_due  ON bus_delivery (address, due_at, seq) WHERE state = 0;
CREATE INDEX bus_delivery_dead ON bus_delivery (died_at, seq) WHERE state = 2;

CREATE TABLE archived (
    archive TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    event   INTEGER NOT NULL,
    PRIMARY KEY (archive, at, event)
) WITHOUT ROWID;
