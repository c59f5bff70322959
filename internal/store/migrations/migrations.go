// Package migrations holds the schema of both databases as numbered,
// forward-only steps, and applies them. The caller holds the lock that keeps two
// nodes from doing so together.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/parry-security/parry/internal/fault"
)

//go:embed sqlite postgres
var steps embed.FS

// Apply brings db, the file ("findings" or "execution") of a dialect ("sqlite"
// or "postgres"), to the current schema. A database newer than this program is
// refused: its rows may mean something that this program does not know.
func Apply(ctx context.Context, dialect, file string, db *sql.DB) error {
	name := goose.DialectSQLite3
	if dialect == "postgres" {
		name = goose.DialectPostgres
	}
	sub, err := fs.Sub(steps, dialect+"/"+file)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(name, db, sub,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()), goose.WithTableName("schema_version"))
	if err != nil {
		return fmt.Errorf("read migrations of %s: %w", file, err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version of %s: %w", file, err)
	}
	if have > want {
		return fault.Errorf(fault.Conflict, "migrate "+file, "the database has schema %d, this program knows %d", have, want).
			WithHint("run the newer version of parry that wrote this database")
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) && partial.Failed != nil {
			return fmt.Errorf("migrate %s, step %d: %w", file, partial.Failed.Source.Version, partial.Err)
		}
		return fmt.Errorf("migrate %s: %w", file, err)
	}
	return nil
}
