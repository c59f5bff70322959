package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
)

func (s *shared) dbMigrateCommand() *cobra.Command {
	check := false
	c := &cobra.Command{
		Use: "migrate", Short: "Bring the database to the schema of this program, without serving", Args: cobra.NoArgs,
		Long: "Runs the migrations that parry serve would run at its start, and says from which to which schema. No server may run. Migrations go\n" +
			"forward only: make a backup first (parry db backup). A database that does not exist yet is made.\n\n" +
			"--check changes nothing and needs no stop; it ends with exit code 3 when there is something to migrate.",
		Example: "  parry db migrate --check\n  parry db migrate",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(s.config)
			if err != nil {
				return err
			}
			list := app.SchemaState
			if !check {
				list = app.Migrate
			}
			state, err := list(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			pending := false
			for _, f := range state {
				pending = pending || f.Pending()
			}
			if err := s.print(s.Out, state, func() grid {
				g := grid{header: []string{"File", "Schema", "This program", ""}}
				for _, f := range state {
					g.rows = append(g.rows, []string{string(f.File), fmt.Sprint(f.From), fmt.Sprint(f.To), migrated(f, check)})
				}
				return g
			}); err != nil {
				return err
			}
			if check && pending {
				return exit(ExitFailing, nil)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "tell what would be done, and do nothing")
	return c
}

func migrated(f app.Schema, check bool) string {
	switch {
	case !f.Pending():
		return "up to date"
	case check && f.From == 0:
		return "to be made: parry db migrate"
	case check:
		return "to be migrated: parry db backup, then parry db migrate"
	case f.From == 0:
		return "made"
	}
	return fmt.Sprintf("migrated from %d to %d", f.From, f.To)
}
