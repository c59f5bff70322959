-- +goose Up

-- Notifications that were sent, by which a repetition is recognised, and those that
-- wait for their group. message numbers the message of the group that has them, 0 is
-- none yet; doc is empty once sent.
CREATE TABLE notification (
    id       TEXT COLLATE "C" PRIMARY KEY,
    channel  TEXT COLLATE "C" NOT NULL,
    grouping TEXT COLLATE "C" NOT NULL,
    message  BIGINT NOT NULL,
    rank     BIGINT NOT NULL,
    items    BIGINT NOT NULL,
    put_at   BIGINT NOT NULL,
    sent_at  BIGINT NOT NULL,
    doc      BYTEA NOT NULL
);
CREATE INDEX notification_message ON notification (channel, grouping, message) WHERE grouping <> '';
CREATE INDEX notification_put ON notification (put_at);

-- due_at is when the group's next message is due, 0 when nothing waits.
CREATE TABLE notification_group (
    channel  TEXT COLLATE "C" NOT NULL,
    grouping TEXT COLLATE "C" NOT NULL,
    message  BIGINT NOT NULL,
    due_at   BIGINT NOT NULL,
    taken_at BIGINT NOT NULL,
    PRIMARY KEY (channel, grouping)
);

-- What a channel calls the thread that Parry calls thread.
CREATE TABLE notification_thread (
    channel TEXT COLLATE "C" NOT NULL,
    thread  TEXT COLLATE "C" NOT NULL,
    ref     TEXT COLLATE "C" NOT NULL,
    put_at  BIGINT NOT NULL,
    PRIMARY KEY (channel, thread)
);
CREATE INDEX notification_thread_put ON notification_thread (put_at);
