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

// serve runs the server until it is told to stop. A node that lost its lease, as after a
// pause of the machine, is taken down whole and started again as a new one, which takes
// over what the old one left: without a supervisor nobody else would.
func (s *shared) serve(ctx context.Context, cfg config.Config) error {
	for {
		lost, err := s.serveNode(ctx, cfg)
		if err != nil || !lost || ctx.Err() != nil {
			return err
		}
		s.logger().Warn("starting again after a lost node lease")
	}
}

// serveNode runs one node, and says whether it ended because its lease was lost.
func (s *shared) serveNode(ctx context.Context, cfg config.Config) (lost bool, err error) {
	server, err := app.NewServer(ctx, cfg, s.Version, s.logger())
	if err != nil {
		return false, err
	}
	stop := func() error {
		// The command's context has ended by now; stopping has a limit of its own.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		return server.Stop(end)
	}
	if err := server.Start(ctx); err != nil {
		_ = stop()
		return false, err
	}
	fmt.Fprintf(s.Err, "parry is ready on %s\n", server.Addr())
	// What only starting needed goes back to the system now. A server with little to
	// do makes its next collection after minutes, and would hold it until then.
	debug.FreeOSMemory()
	select {
	case <-ctx.Done():
		return false, stop()
	case err := <-server.Failed():
		_ = stop()
		return false, err
	case <-server.Lost():
		if err := stop(); err != nil {
			// What does not end may still be at work: only the process's end makes sure.
			return false, fault.E(fault.Unavailable, "stop after the node lost its lease", err).
				WithHint("check the database, then start parry serve again")
		}
		return true, nil
	}
}
