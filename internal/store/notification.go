package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// HeldNotification waits for the message of its group.
type HeldNotification struct {
	ID, Channel string
	Group       string // within the channel
	// Rank orders the notifications of a message, the highest first; Items is how many
	// things it tells of.
	Rank, Items int64
	Doc         json.RawMessage
}

// GroupDue is the payload of topic notify_group: a message of a group is due.
type GroupDue struct {
	Channel string `json:"channel"`
	Group   string `json:"group"`
	Message int64  `json:"message"` // also when it was made due, in microseconds since 1970
	// About is what whoever held the first notification said of the group.
	About json.RawMessage `json:"about,omitempty"`
}

// GroupMessage is what one message of a group tells.
type GroupMessage struct {
	Notifications, Items int64              // all of them
	First                []HeldNotification // as many as were asked for
	Sent                 bool               // already
}

// HoldNotification keeps n for the next message of its group, which is due wait after
// the group's first notification, and no sooner than interval after its message
// before. One with an id that is there already is dropped.
func (s *Store) HoldNotification(ctx context.Context, n HeldNotification, wait, interval time.Duration, about json.RawMessage) error {
	const op = "hold notification"
	if err := errors.Join(checkID(op, "notification", n.ID), checkID(op, "channel", n.Channel), checkID(op, "group", n.Group)); err != nil {
		return err
	}
	if len(n.Doc) > maxPayload {
		return invalid(op, "notification %s has %d bytes, more than %d", n.ID, len(n.Doc), maxPayload)
	}
	doc := s.docs.pack(n.Doc)
	return s.write(ctx, Execution, op, func(t *tx) error {
		// The group's row is locked first: whoever takes the message now being filled
		// is either done, and what follows is of the next, or waits and gets this too.
		g, err := t.lockGroup(ctx, n.Channel, n.Group)
		if err != nil {
			return err
		}
		now := s.now()
		added, err := t.changed(ctx, s.q.NotificationHold, n.ID, n.Channel, n.Group, n.Rank, n.Items, micros(now), doc)
		if err != nil || added == 0 || g.due != 0 && now.Before(fromMicros(g.due).Add(overdueGroup)) {
			return err
		}
		due := now.Add(wait)
		if next := fromMicros(g.taken).Add(interval); g.taken != 0 && next.After(due) {
			due = next
		}
		return t.groupDue(ctx, g, GroupDue{Channel: n.Channel, Group: n.Group, About: about}, due)
	})
}

// overdueGroup is how long a message of a group may be late. One that was given up before
// anybody took it would hold up its group for ever.
const overdueGroup = 10 * time.Minute

// groupRow is the row of a group.
type groupRow struct{ message, due, taken int64 }

func (t *tx) lockGroup(ctx context.Context, channel, name string) (groupRow, error) {
	return one(ctx, t, t.s.q.GroupLock, []any{channel, name}, func(r scanner) (g groupRow, err error) {
		err = r.Scan(&g.message, &g.due, &g.taken)
		return g, err
	})
}

// groupDue makes the next message of a group due. Its number is the time, so that it is
// not used again when a group was forgotten in between.
func (t *tx) groupDue(ctx context.Context, g groupRow, d GroupDue, due time.Time) error {
	d.Message = max(g.message+1, micros(t.s.now()))
	payload, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if _, err := t.changed(ctx, t.s.q.GroupSchedule, d.Channel, d.Group, d.Message, micros(due)); err != nil {
		return err
	}
	id := "group-" + d.Channel + "-" + d.Group + "-" + time.UnixMicro(d.Message).UTC().Format("20060102T150405.000000")
	return t.send(ctx, Effects{Outbox: []Message{{ID: id, Topic: TopicNotifyGroup, Payload: payload, NotBefore: due}}})
}

// TakeGroup gives what message d of a group tells, the first most of it with their
// content, and the same at every call. The first call decides: it takes all that waits,
// or when whole is set no more than most, and makes another message due at once for
// the rest.
func (s *Store) TakeGroup(ctx context.Context, d GroupDue, most int, whole bool) (GroupMessage, error) {
	const op = "take group"
	var out GroupMessage
	err := s.write(ctx, Execution, op, func(t *tx) error {
		out = GroupMessage{}
		g, err := t.lockGroup(ctx, d.Channel, d.Group)
		if err != nil {
			return err
		}
		if g.message == d.Message && g.due != 0 {
			if err := t.assign(ctx, g, d, most, whole); err != nil {
				return err
			}
		}
		sent := int64(0)
		if _, err = one(ctx, t, s.q.GroupTotal, []any{d.Channel, d.Group, d.Message}, func(r scanner) (struct{}, error) {
			return struct{}{}, r.Scan(&out.Notifications, &out.Items, &sent)
		}); err != nil {
			return err
		}
		if out.Sent = out.Notifications == 0 && sent > 0; out.Sent {
			return nil
		}
		out.First, err = collect(ctx, t, s.q.GroupList, []any{d.Channel, d.Group, d.Message, int64(most)}, func(r scanner) (HeldNotification, error) {
			n := HeldNotification{Channel: d.Channel, Group: d.Group}
			var doc []byte
			err := r.Scan(&n.ID, &n.Rank, &n.Items, &doc)
			if err == nil {
				n.Doc, err = s.docs.unpack(doc)
			}
			return n, err
		})
		return err
	})
	return out, err
}

// assign puts what waits into message d.
func (t *tx) assign(ctx context.Context, g groupRow, d GroupDue, most int, whole bool) error {
	q := t.s.q
	limit := int64(most)
	if !whole {
		limit = maxHeld
	}
	n, err := t.changed(ctx, q.GroupAssign, d.Channel, d.Group, d.Message, limit)
	if err != nil {
		return err
	}
	now := t.s.now()
	if _, err := t.changed(ctx, q.GroupTaken, d.Channel, d.Group, micros(now)); err != nil || n < limit {
		return err
	}
	left, err := one(ctx, t, q.GroupTotal, []any{d.Channel, d.Group, int64(0)}, func(r scanner) (n int64, err error) {
		err = r.Scan(&n, new(int64), new(int64))
		return n, err
	})
	if err != nil || left == 0 {
		return err
	}
	return t.groupDue(ctx, g, d, now)
}

// HaltGroups leaves what waits to the messages that are due now, which somebody set
// aside: it is told when one of them is delivered after all, and never with what comes
// later.
func (s *Store) HaltGroups(ctx context.Context) error {
	return s.write(ctx, Execution, "halt groups", func(t *tx) error {
		for _, query := range []string{s.q.NotificationHalt, s.q.GroupHalt} {
			if _, err := t.changed(ctx, query); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxHeld bounds what one transaction puts into a message.
const maxHeld = 100_000

// GroupSent notes that message d of a group was sent.
func (s *Store) GroupSent(ctx context.Context, d GroupDue) error {
	return s.write(ctx, Execution, "note a sent group", func(t *tx) error {
		_, err := t.changed(ctx, s.q.GroupSent, d.Channel, d.Group, d.Message, micros(s.now()))
		return err
	})
}

// NotificationSent reports whether a notification was noted as sent.
func (s *Store) NotificationSent(ctx context.Context, id string) (bool, error) {
	at, err := one(ctx, s.execution.Read, s.q.NotificationSent, []any{id}, scanInt)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return at != 0, s.fail("read notification", err)
}

// NoteNotification notes that a notification that stands alone was sent.
func (s *Store) NoteNotification(ctx context.Context, channel, id string) error {
	const op = "note notification"
	if err := errors.Join(checkID(op, "notification", id), checkID(op, "channel", channel)); err != nil {
		return err
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		_, err := t.changed(ctx, s.q.NotificationNote, id, channel, micros(s.now()))
		return err
	})
}

// NotificationThread gives what channel calls thread, "" when it was not told.
func (s *Store) NotificationThread(ctx context.Context, channel, thread string) (string, error) {
	ref, err := one(ctx, s.execution.Read, s.q.ThreadRead, []any{channel, thread}, func(r scanner) (ref string, err error) {
		err = r.Scan(&ref)
		return ref, err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return ref, s.fail("read thread", err)
}

// PutNotificationThread keeps what channel calls thread; the first stays.
func (s *Store) PutNotificationThread(ctx context.Context, channel, thread, ref string) error {
	const op = "keep thread"
	if err := errors.Join(checkID(op, "channel", channel), checkID(op, "thread", thread), checkID(op, "reference", ref)); err != nil {
		return err
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		_, err := t.changed(ctx, s.q.ThreadPut, channel, thread, ref, micros(s.now()))
		return err
	})
}

// pruneNotifications forgets what was sent before sent, what waits in vain since
// before, and groups and threads without news since.
func (s *Store) pruneNotifications(ctx context.Context, c Cutoffs) (int64, error) {
	if c.Notifications.IsZero() {
		return 0, nil
	}
	var total int64
	for _, step := range []struct {
		query string
		args  []any
	}{
		{s.q.NotificationPrune, []any{micros(c.Notifications), micros(c.Dead), int64(pruneChunk)}},
		{s.q.GroupPrune, []any{micros(c.Notifications), int64(pruneChunk)}},
		{s.q.ThreadPrune, []any{micros(c.Threads), int64(pruneChunk)}},
	} {
		n, err := s.pruneRows(ctx, Execution, step.query, step.args...)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
