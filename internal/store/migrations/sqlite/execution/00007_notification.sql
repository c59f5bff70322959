-- +goose Up

-- Notifications that were sent, by which a repetition is recognised, and those that
-- wait for their group. message numbers the message of the group that has them, 0 is
-- none yet; doc is empty once sent.
CREATE TABLE notification (
    id       TEXT PRIMARY KEY,
    channel  TEXT NOT NULL,
    grouping TEXT NOT NULL,
    message  INTEGER NOT NULL,
    rank     INTEGER NOT NULL,
    items    INTEGER NOT NULL,
    put_at   INTEGER NOT NULL,
    sent_at  INTEGER NOT NULL,
    doc      BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX notification_message ON notification (channel, grouping, message) WHERE grouping <> '';
CREATE INDEX notification_put ON notification (put_at);

-- due_at is when the group's next message is due, 0 when nothing waits.
CREATE TABLE notification_group (
    channel  TEXT NOT NULL,
    grouping TEXT NOT NULL,
    message  INTEGER NOT NULL,
    due_at   INTEGER NOT NULL,
    taken_at INTEGER NOT NULL,
    PRIMARY KEY (channel, grouping)
) WITHOUT ROWID;

-- What a channel calls the thread that Parry calls thread.
CREATE TABLE notification_thread (
    channel TEXT NOT NULL,
    thread  TEXT NOT NULL,
    ref     TEXT NOT NULL,
    put_at  INTEGER NOT NULL,
    PRIMARY KEY (channel, thread)
) WITHOUT ROWID;
CREATE INDEX notification_thread_put ON notification_thread (put_at);
