package cli

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
)

// stopLimit is how long a server may take to end its work.
const stopLimit = 15 * time.Second

func (s *shared) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the server",
		Long: "Runs Parry: the AWS APIs that it answers, its own API, and every stage from a finding to a verified fix.\n" +
			"It listens on loopback unless TLS is configured.",
		Example: "  parry serve --config /etc/parry/parry.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(s.config)
			if err != nil {
				return err
			}
			return s.serve(cmd.Context(), cfg)
		},
	}
}

func (s *shared) serve(ctx context.Context, cfg config.Config) error {
	server, err := app.NewServer(ctx, cfg, s.Version, s.logger())
	if err != nil {
		return err
	}
	stop := func() error {
		// The command's context has ended by now; stopping has a limit of its own.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		return server.Stop(end)
	}
	if err := server.Start(ctx); err != nil {
		_ = stop()
		return err
	}
	fmt.Fprintf(s.Err, "parry is ready on %s\n", server.Addr())
	// What only starting needed goes back to the system now. A server with little to
	// do makes its next collection after minutes, and would hold it until then.
	debug.FreeOSMemory()
	select {
	case <-ctx.Done():
		return stop()
	case err := <-server.Failed():
		_ = stop()
		return err
	case <-server.Lost():
		_ = stop()
		return fault.Errorf(fault.Unavailable, "serve", "this node lost its lease and has stopped, so that nothing is done twice").
			WithHint("check the database, then start parry serve again")
	}
}
