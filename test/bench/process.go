package main

import (
	"context"
	"errors"
	"time"
)

// readiness measures the time until a server answers.
func readiness() measurement {
	return measurement{
		rows: []Row{
			atMost("ready/first", "start to ready, new data directory", 1, "s"),
			atMost("ready/again", "start to ready, existing data directory", 1, "s"),
		},
		limit: 60 * time.Second,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			for range 3 {
				dir, err := b.temp("ready")
				if err != nil {
					return err
				}
				n, err := b.node(ctx, dir, organization([]string{account(0)}, "people"), nil)
				if err != nil {
					return err
				}
				for _, name := range []string{"ready/first", "ready/again"} {
					if err := n.start(ctx); err != nil {
						return err
					}
					n.stop()
					rows[name].set(n.ready.Seconds(), "parry serve on SQLite, from exec to the first answer of /v1/health; best of 3")
				}
			}
			return nil
		},
	}
}

// idleness measures what a server costs that has nothing to do.
func idleness() measurement {
	return measurement{
		rows: []Row{
			atMost("idle/memory", "idle: resident memory", 60, "MB"),
			atMost("idle/cpu", "idle: processor", 2, "% of a core"),
		},
		limit: 60 * time.Second,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			dir, err := b.temp("idle")
			if err != nil {
				return err
			}
			n, err := b.node(ctx, dir, organization([]string{account(0)}, "people"), nil)
			if err != nil {
				return err
			}
			defer n.stop()
			if err := errors.Join(n.start(ctx), wait(ctx, 3*time.Second)); err != nil {
				return err
			}
			before, err := cpuTime(n.cmd.Process.Pid)
			if err != nil {
				return err
			}
			const span = 10 * time.Second
			if err := wait(ctx, span); err != nil {
				return err
			}
			after, err := cpuTime(n.cmd.Process.Pid)
			if err != nil {
				return err
			}
			now, peak, err := memory(n.cmd.Process.Pid)
			if err != nil {
				return err
			}
			rows["idle/memory"].set(now, "parry serve on SQLite, 13 s after its start; peak %.0f MB", peak)
			rows["idle/cpu"].set(100*(after-before).Seconds()/span.Seconds(), "over %s", span)
			return nil
		},
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// binary measures the program's size.
func binary() measurement {
	return measurement{
		rows:  []Row{atMost("binary", "binary", 60, "MB")},
		limit: 10 * time.Second,
		run: func(_ context.Context, b *bench, rows map[string]*Row) error {
			mb, err := fileSize(b.program)
			if err == nil {
				rows["binary"].set(mb, "parry, stripped, models and catalog embedded")
			}
			return err
		},
	}
}
