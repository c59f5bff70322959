package cli

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/backup"
)

func (s *shared) dbCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "db", Short: "Back up, restore, move and migrate the database",
		Long: "Works on the database that the configuration names, beside the server or without one. What is in a backup and what becomes of\n" +
			"work that was under way: docs/backup.md.",
	}
	c.AddCommand(s.dbBackupCommand(), s.dbRestoreCommand(), s.dbMoveCommand(), s.dbMigrateCommand(), s.dbUndeliveredCommand())
	return c
}

// backupSummary is what a backup or a restore came to.
type backupSummary struct {
	File         string               `json:"file"`
	MadeAt       time.Time            `json:"made_at"`
	From         string               `json:"from"` // sqlite or postgres
	Schema       map[store.File]int64 `json:"schema"`
	Tables       int                  `json:"tables"`
	Rows         int64                `json:"rows"`
	Bytes        int64                `json:"bytes"` // unpacked
	WithKey      bool                 `json:"with_key"`
	Seconds      float64              `json:"seconds"`
	RestoredInto string               `json:"restored_into,omitempty"`
	Ended        *backup.Settled      `json:"ended,omitempty"`
}

func summary(path string, m backup.Manifest, took time.Duration) backupSummary {
	out := backupSummary{
		File: path, MadeAt: m.MadeAt, From: m.Database, Schema: m.Schema, Tables: len(m.Tables), Rows: m.Rows(), WithKey: m.Key != "",
		Seconds: float64(took.Milliseconds()) / 1000,
	}
	for _, t := range m.Tables {
		out.Bytes += t.Bytes
	}
	return out
}

func (b backupSummary) grid() grid {
	g := grid{header: []string{"", ""}, pairs: true, rows: [][]string{
		{"File", b.File},
		{"Made at", b.MadeAt.UTC().Format(time.RFC3339)},
		{"From", b.From},
		{"Schema", fmt.Sprintf("findings %d, execution %d", b.Schema[store.Findings], b.Schema[store.Execution])},
		{"Rows", fmt.Sprintf("%s in %d tables, %s", grouped(b.Rows), b.Tables, megabytes(b.Bytes))},
		{"Took", seconds(b.Seconds, b.Rows, b.Bytes)},
	}}
	if b.Ended != nil {
		e := b.Ended
		g.rows = append(g.rows, []string{"Restored into", b.RestoredInto},
			[]string{"Ended", fmt.Sprintf("%d remediations, %d executions, %d approvals", e.Remediations, e.Executions, e.Approvals)},
			[]string{"Set aside", fmt.Sprintf("%d messages", e.Messages)}, []string{"To be indexed", fmt.Sprintf("%d findings", e.Inbox)},
			[]string{"Keys in force", fmt.Sprint(e.Keys)})
	}
	return g
}

func (s *shared) dbBackupCommand() *cobra.Command {
	var withKey bool
	c := &cobra.Command{
		Use: "backup FILE|DIRECTORY", Short: "Write a backup of the database, while the server runs or not", Args: cobra.ExactArgs(1),
		Long: "Writes one file with everything that the database holds at this moment; in a directory it gets a name by its time. Secrets, plans\n" +
			"and before-images stay sealed: the data key (data.key in data_dir) is not in it, and without the key a backup is of no use.\n" +
			"Findings are not sealed: keep backups as you keep the database.",
		Example: "  parry db backup /var/backups/parry",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(s.config)
			if err != nil {
				return err
			}
			clock := service.SystemClock{}
			began, bar := clock.Now(), s.bar("copy")
			path, m, err := app.Backup(cmd.Context(), cfg, app.BackupOptions{Path: args[0], Version: s.Version, WithKey: withKey, Progress: bar.report})
			bar.end()
			if err != nil {
				return err
			}
			if withKey {
				app.WarnOfKey(s.Err, path)
			}
			out := summary(path, m, clock.Now().Sub(began))
			return s.print(s.Out, out, out.grid)
		},
	}
	c.Flags().BoolVar(&withKey, "with-key", false, "put the data key into the backup: whoever reads the file then reads every secret")
	return c
}

func (s *shared) dbRestoreCommand() *cobra.Command {
	var o app.RestoreOptions
	c := &cobra.Command{
		Use: "restore FILE", Short: "Put a backup in the place of the database", Args: cobra.ExactArgs(1),
		Long: "Verifies the whole backup, then makes the database that the configuration names from it, SQLite or PostgreSQL. The server must not run.\n" +
			"A database that is not empty is replaced with --replace only.\n\n" +
			"Nothing that was under way when the backup was made goes on by itself: remediations, executions and approvals that had not ended are\n" +
			"ended with a hint, messages that waited are set aside, and the stop switch is on until: parry stop off --reason ...",
		Example: "  parry db restore /var/backups/parry/parry-20260301T120000Z-1f2e.backup --replace",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(s.config)
			if err != nil {
				return err
			}
			clock := service.SystemClock{}
			began := clock.Now()
			checking, writing := s.bar("verify"), s.bar("restore")
			o.Path, o.Checking, o.Progress = args[0], checking.report, writing.report
			m, settled, err := app.Restore(cmd.Context(), cfg, o)
			writing.end()
			if err != nil {
				return err
			}
			out := summary(args[0], m, clock.Now().Sub(began))
			out.RestoredInto, out.Ended = "sqlite", &settled
			if cfg.Database != "" {
				out.RestoredInto = "postgres"
			}
			if err := s.print(s.Out, out, out.grid); err != nil {
				return err
			}
			s.afterRestore(m, settled)
			return nil
		},
	}
	c.Flags().BoolVar(&o.Replace, "replace", false, "lose what the database holds now")
	c.Flags().BoolVar(&o.UseKey, "use-key", false, "take the data key that is in the backup: only of a backup that you trust")
	return c
}

// afterRestore says what a person has to do now.
func (s *shared) afterRestore(m backup.Manifest, settled backup.Settled) {
	fmt.Fprintf(s.Err, "\nThe stop switch is on: Parry changes nothing until somebody has looked. Next:\n"+
		"  parry serve\n"+
		"  parry remediation list            what was ended has a hint\n"+
		"  parry db undelivered              %d message(s) would have told or started something, and were set aside\n"+
		"  parry dlq list                    %d deliveries of the event bus were set aside\n"+
		"  parry key list                    %d key(s) are in force as they were at %s: revoke those revoked since\n"+
		"  parry audit verify                says that the log goes on behind a restore\n"+
		"  parry stop off --reason ...\n", settled.Messages, settled.Deliveries, settled.Keys, m.MadeAt.UTC().Format(time.RFC3339))
}

// moveSummary is what a move came to.
type moveSummary struct {
	backup.Moved
	Seconds float64 `json:"seconds"`
	Set     string  `json:"set"` // the setting to change
}

func (s *shared) dbMoveCommand() *cobra.Command {
	var o app.MoveOptions
	c := &cobra.Command{
		Use: "move", Short: "Move the database from SQLite to PostgreSQL", Args: cobra.NoArgs,
		Long: "Copies the SQLite files of data_dir to an empty PostgreSQL database and compares every table of both, by rows and digest. A run that\n" +
			"was ended goes on when it is started again. The server must not run, and no execution may be under way; those that wait are moved.\n" +
			"A password is better left to PGPASSWORD or ~/.pgpass than given in the address.",
		Example: "  parry db move --to postgres://parry@db.example.com/parry?sslmode=verify-full",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.To == "" {
				return usage("--to is required: the address of an empty PostgreSQL database")
			}
			cfg, err := config.Load(s.config)
			if err != nil {
				return err
			}
			clock := service.SystemClock{}
			began := clock.Now()
			copying, comparing := s.bar("copy"), s.bar("compare")
			o.Progress, o.Checking = copying.report, comparing.report
			moved, err := app.Move(cmd.Context(), cfg, o)
			copying.end()
			comparing.end()
			if err != nil {
				return err
			}
			out := moveSummary{Moved: moved, Seconds: float64(clock.Now().Sub(began).Milliseconds()) / 1000, Set: "database: " + withoutPassword(o.To)}
			if err := s.print(s.Out, out, out.grid); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "\nBoth databases hold the same. Set in parry.yaml, keep data.key where it is, then start parry serve:\n  %s\n", out.Set)
			return nil
		},
	}
	c.Flags().StringVar(&o.To, "to", "", "`address` of an empty PostgreSQL database")
	return c
}

func (m moveSummary) grid() grid {
	return grid{header: []string{"", ""}, pairs: true, rows: [][]string{
		{"Moved", fmt.Sprintf("%s rows in %d tables", grouped(m.Rows), len(m.Tables))},
		{"Copied now", fmt.Sprintf("%s rows, %s", grouped(m.Copied), megabytes(m.Bytes))},
		{"Took", seconds(m.Seconds, m.Copied, m.Bytes)},
		{"Set", m.Set},
	}}
}

// withoutPassword is an address as it may be printed.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the address given"
	}
	return u.Redacted()
}

// bar is a line of progress on standard error: on a terminal only.
type bar struct {
	w     io.Writer // nil = not a terminal
	width int
	title string
	clock service.Clock
	began time.Time
	last  time.Time
	shown bool
}

func (s *shared) bar(title string) *bar {
	b := &bar{title: title, clock: service.SystemClock{}}
	if f, ok := s.Err.(*os.File); ok && isTerminal(f) {
		b.w, b.width = f, 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			b.width = w
		}
	}
	return b
}

// report draws the line anew, ten times a second at most.
func (b *bar) report(what string, done, all int64) {
	if b.w == nil {
		return
	}
	now := b.clock.Now()
	if b.began.IsZero() {
		b.began = now
	}
	if now.Sub(b.last) < 100*time.Millisecond && done < all {
		return
	}
	b.last = now
	fmt.Fprint(b.w, "\r\x1b[2K", b.line(what, done, all, now))
	b.shown = true
	if done == all {
		b.end()
	}
}

func (b *bar) line(what string, done, all int64, now time.Time) string {
	part := 1.0
	if all > 0 {
		part = float64(done) / float64(all)
	}
	rate := 0.0
	if took := now.Sub(b.began).Seconds(); took > 0 {
		rate = float64(done) / took
	}
	const length = 24
	full := min(length, int(part*length))
	text := fmt.Sprintf("%-8s [%s%s] %3.0f %%  %s of %s rows  %s/s  %s", b.title, strings.Repeat("=", full), strings.Repeat(" ", length-full), part*100, grouped(done), grouped(all), grouped(int64(rate)), what)
	return short(text, max(20, b.width-1))
}

// end leaves the line as it is.
func (b *bar) end() {
	if b.shown {
		fmt.Fprintln(b.w)
		b.shown = false
	}
}

// grouped prints a number with its thousands apart.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

const fewRows = 10_000

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func seconds(took float64, rows, bytes int64) string {
	if rows < fewRows || took <= 0 { // a rate would say nothing
		return fmt.Sprintf("%.1f s", took)
	}
	return fmt.Sprintf("%.1f s: %s rows/s, %.1f MB/s", took, grouped(int64(float64(rows)/took)), float64(bytes)/1e6/took)
}
