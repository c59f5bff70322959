package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is where transactions tell of what they changed. The suffix keeps a copy in
// the making apart.
func channel(suffix string) string { return "parry_hints" + suffix }

// The pauses before a lost connection is tried again.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 15 * time.Second
)

// listen gives what is notified on the channel until ctx ends, over a connection of
// its own: LISTEN belongs to a session. Each time that it begins to listen it says so
// by a gap, since nobody keeps a notification for who was away. A pooler that shares
// sessions (PgBouncer in transaction mode) takes the LISTEN and brings nothing.
//
// https://www.postgresql.org/docs/current/sql-notify.html
func listen(ctx context.Context, pc *pgx.ConnConfig, suffix string, got func(text string, gap bool)) {
	wait := firstPause
	for ctx.Err() == nil {
		began, err := listenOnce(ctx, pc, suffix, got)
		if began {
			wait = firstPause
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		wait = min(2*wait, lastPause)
		// Until it listens again nobody knows what changes: those who wait read again.
		got("", true)
	}
}

func listenOnce(ctx context.Context, pc *pgx.ConnConfig, suffix string, got func(text string, gap bool)) (began bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, pc.Copy())
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // It is of no more use.
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel(suffix)}.Sanitize()); err != nil {
		return false, err
	}
	got("", true)
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return true, err
		}
		got(n.Payload, false)
	}
}
