package cli

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/audit"
)

func (s *shared) auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Verify and export the audit log"}
	c.AddCommand(s.auditVerifyCommand(), s.auditExportCommand())
	return c
}

func (s *shared) auditVerifyCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "verify", Short: "Recompute the hash chain; exit 3 if an entry does not fit",
		Long: "Verifies the server's log, or with --file an export of it, without a server.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				return s.verifyExport(file)
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			report, err := c.VerifyAudit(cmd.Context())
			if err != nil {
				return err
			}
			return s.printVerified(report)
		},
	}
	c.Flags().StringVar(&file, "file", "", "verify this export instead (JSON lines)")
	return c
}

func (s *shared) verifyExport(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return usage("--file: %v", err)
	}
	defer func() { _ = f.Close() }()
	report, err := audit.VerifyExport(f, nil)
	if err != nil {
		return err
	}
	flat := api.AuditReport{OK: report.OK, Entries: report.Entries, Head: report.Head.Hash}
	flat.Restored = report.Restored
	if report.Broken != nil {
		flat.Problem = report.Broken.Error()
	}
	return s.printVerified(flat)
}

// printVerified prints a verdict. Its head is a checkpoint: the index and hash
// of the last good entry, to be kept where this log's operators cannot write.
func (s *shared) printVerified(report api.AuditReport) error {
	head := ""
	if report.Head != "" {
		head = audit.Checkpoint{Index: report.Entries, Hash: report.Head}.String()
	}
	if err := s.print(s.Out, report, func() grid {
		return grid{header: []string{"OK", "Entries", "Head", "Problem"}, rows: [][]string{{yesNo(report.OK), fmt.Sprint(report.Entries), head, report.Problem}}}
	}); err != nil {
		return err
	}
	for _, r := range report.Restored {
		fmt.Fprintf(s.Err, "entry %d: the database was restored at %s from a backup of %s, which ended with entry %d; entries made in between are lost\n",
			r.Index, r.At.UTC().Format(time.RFC3339), r.BackupMadeAt.UTC().Format(time.RFC3339), r.Entries)
	}
	if !report.OK {
		return exit(ExitFailing, nil)
	}
	return nil
}

func (s *shared) auditExportCommand() *cobra.Command {
	var after int64
	c := &cobra.Command{
		Use: "export", Short: "Write the audit log as JSON lines", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			return c.ExportAudit(cmd.Context(), after, s.Out)
		},
	}
	c.Flags().Int64Var(&after, "after", 0, "begin after the entry with this index")
	return c
}

func (s *shared) stopCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "stop", Short: "The stop switch: while it is on, Parry changes nothing",
		Long: "While the stop switch is on, or cannot be read, no change leaves any node: within a second. Executions wait where they stand and go on\n" +
			"when it is off. Findings come in and plans are made all the same.",
	}
	for _, v := range []struct {
		name, what string
		on         bool
	}{{"on", "Stop every change at once", true}, {"off", "Let changes go on", false}} {
		var reason string
		set := &cobra.Command{
			Use: v.name, Short: v.what, Args: cobra.NoArgs,
			Example: "  parry stop " + v.name + " --reason 'looking into it'",
			RunE: func(cmd *cobra.Command, _ []string) error {
				if strings.TrimSpace(reason) == "" {
					return usage("--reason is required; it goes into the audit log")
				}
				c, err := s.client()
				if err != nil {
					return err
				}
				state, err := c.SetStopSwitch(cmd.Context(), v.on, reason)
				if err != nil {
					return err
				}
				return s.print(s.Out, state, func() grid { return switchGrid(state) })
			},
		}
		set.Flags().StringVar(&reason, "reason", "", "why (required)")
		c.AddCommand(set)
	}
	c.AddCommand(&cobra.Command{
		Use: "status", Short: "Say whether the stop switch is on", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			state, err := c.StopSwitch(cmd.Context())
			if err != nil {
				return err
			}
			return s.print(s.Out, state, func() grid { return switchGrid(state) })
		},
	})
	return c
}

func switchGrid(state api.StopSwitch) grid {
	return grid{header: []string{"On", "Reason"}, rows: [][]string{{yesNo(state.On), state.Reason}}}
}
