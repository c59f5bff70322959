package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// localRun is a run of this machine as runbook executions shows it.
type localRun struct {
	Execution  string `json:"execution"`
	Document   string `json:"document"`
	Status     string `json:"status"`
	State      string `json:"state"` // of its remediation; "planning" before there is one
	Account    string `json:"account"`
	Region     string `json:"region"`
	Step       string `json:"step,omitempty"` // that it is at
	StartedAt  string `json:"started_at"`
	Unfinished bool   `json:"unfinished"`
}

func (s *shared) runbookExecutionsCommand() *cobra.Command {
	unfinished := false
	c := &cobra.Command{
		Use: "executions", Short: "List the runs of documents that this machine started without a server",
		Long: "Lists the runs that parry runbook start FILE made with a store below PARRY_DATA_DIR, the latest first, at most 200 for each\n" +
			"process that ran at once. One that is unfinished waits for people, or its process was ended: parry runbook resume goes on\n" +
			"with it. Runs of a server are listed by aws ssm describe-automation-executions. Nothing is asked of AWS.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := s.localRuns(cmd.Context())
			if err != nil {
				return err
			}
			shown := []localRun{}
			for _, r := range all.Runs {
				if !unfinished || r.Unfinished() {
					shown = append(shown, shownRun(r))
				}
			}
			if err := s.print(s.Out, shown, func() grid { return runsGrid(shown) }); err != nil {
				return err
			}
			if all.Busy > 0 {
				fmt.Fprintf(s.Err, "%d other process(es) run documents here now; their runs are not listed\n", all.Busy)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&unfinished, "unfinished", false, "only those with which parry runbook resume can go on")
	return c
}

func (s *shared) localRuns(ctx context.Context) (app.LocalRuns, error) {
	cfg, err := config.Optional(s.config)
	if err != nil {
		return app.LocalRuns{}, err
	}
	return app.ListLocal(ctx, cfg)
}

func shownRun(r app.LocalRun) localRun {
	e := r.Execution
	out := localRun{
		Execution: e.ID, Document: e.Document, Status: e.Status, State: string(r.Remediation.State), Account: e.Account, Region: e.Region,
		Step: e.CurrentStep, StartedAt: e.StartedAt.UTC().Format(runbook.TimeFormat), Unfinished: r.Unfinished(),
	}
	if r.Remediation.ID == "" {
		out.State = "planning"
	}
	return out
}

func runsGrid(runs []localRun) grid {
	g := grid{header: []string{"Execution", "Document", "Status", "Step", "Started (UTC)"}}
	for _, r := range runs {
		status, started := r.Status, r.StartedAt
		if r.Unfinished {
			status += " (resume)"
		}
		if at, err := time.Parse(runbook.TimeFormat, started); err == nil {
			started = at.Format("01-02 15:04")
		}
		g.rows = append(g.rows, []string{r.Execution, r.Document, status, r.Step, started})
	}
	return g
}

// resumeFlags are the flags of runbook resume.
type resumeFlags struct {
	approve, reject, cancel bool
	yes, watch              bool
	comment                 string
}

func (s *shared) runbookResumeCommand() *cobra.Command {
	var f resumeFlags
	c := &cobra.Command{
		Use: "resume [EXECUTION]", Short: "Go on with a run of this machine that is unfinished",
		Long: "Goes on with a run that parry runbook start FILE left unfinished: one whose plan nobody has approved yet, one that waits at\n" +
			"aws:approve or aws:pause, and one whose process was ended. What it did is not done again. Without EXECUTION the only\n" +
			"unfinished run is meant; parry runbook executions lists them. The credentials have to be of the account it was started in.\n\n" +
			"On a terminal it asks, as start does. --approve answers yes to the step that the run waits at (for aws:pause: go on),\n" +
			"--reject answers no, --yes approves the plan. Exit codes are those of parry runbook start.",
		Example: "  parry runbook resume\n  parry runbook resume 5e6e1028-3e8e-8707-bb90-846d911afc11 --approve --comment 'seen by two'\n" +
			"  parry runbook resume 5e6e1028-3e8e-8707-bb90-846d911afc11 --cancel",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			run, err := s.unfinishedRun(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			where, err := s.resumedExecutions(cmd.Context(), run)
			if err != nil {
				return err
			}
			return s.closing(cmd.Context(), where, s.resumeRun(cmd.Context(), where, run, f))
		},
	}
	flags := c.Flags()
	flags.BoolVar(&f.approve, "approve", false, "answer yes to the step that it waits at")
	flags.BoolVar(&f.reject, "reject", false, "answer no to the aws:approve step that it waits at")
	flags.BoolVar(&f.cancel, "cancel", false, "cancel the run; its onCancel steps are carried out")
	flags.BoolVar(&f.yes, "yes", false, "approve its plan as yourself")
	flags.BoolVar(&f.watch, "watch", false, "show steps on standard error as they begin and end")
	flags.StringVar(&f.comment, "comment", "", "`text` that is kept with the answer")
	return c
}

func (f resumeFlags) check() error {
	given := 0
	for _, one := range []bool{f.approve, f.reject, f.cancel} {
		if one {
			given++
		}
	}
	switch {
	case given > 1:
		return usage("give one of --approve, --reject and --cancel")
	case f.cancel && f.yes:
		return usage("give --cancel or --yes, not both")
	}
	return nil
}

// unfinishedRun finds the run to go on with; "" = the only one.
func (s *shared) unfinishedRun(ctx context.Context, id string) (app.LocalRun, error) {
	const op = "find the run"
	all, err := s.localRuns(ctx)
	if err != nil {
		return app.LocalRun{}, err
	}
	var left []app.LocalRun
	for _, r := range all.Runs {
		switch {
		case id != "" && r.Execution.ID == id && !r.Unfinished():
			return r, fault.Errorf(fault.Conflict, op, "execution %s has ended with %s", id, r.Execution.Status).WithHint("start the document again: parry runbook start FILE")
		case id != "" && r.Execution.ID == id:
			return r, nil
		case r.Unfinished():
			left = append(left, r)
		}
	}
	busy := ""
	if all.Busy > 0 {
		busy = fmt.Sprintf("; %d other process(es) run documents here now", all.Busy)
	}
	switch {
	case id != "":
		return app.LocalRun{}, fault.Errorf(fault.NotFound, op, "this machine has no run %.80q%s", id, busy).WithHint("run: parry runbook executions --unfinished")
	case len(left) == 0:
		return app.LocalRun{}, fault.Errorf(fault.NotFound, op, "no run is unfinished%s", busy).WithHint("run: parry runbook executions")
	case len(left) > 1:
		return app.LocalRun{}, usage("%d runs are unfinished; name one of them: parry runbook executions --unfinished lists them", len(left))
	}
	return left[0], nil
}

// resumedExecutions opens the store of a run and goes on with what is in it.
func (s *shared) resumedExecutions(ctx context.Context, run app.LocalRun) (*localExecutions, error) {
	cfg, err := config.Optional(s.config)
	if err != nil {
		return nil, err
	}
	l, err := app.ResumeLocal(ctx, app.LocalConfig{Config: cfg, Version: s.Version, Logger: s.quiet()}, run)
	if err != nil {
		return nil, err
	}
	x := &localExecutions{local: l, run: run.Execution.Remediation}
	x.doc, err = l.Document(ctx, run.Execution)
	if err == nil {
		err = l.Start(ctx)
	}
	if err != nil {
		_ = l.Stop(context.WithoutCancel(ctx)) // the error says more
		return nil, err
	}
	return x, nil
}

// resumeRun carries a run to its end, or to where it waits again.
func (s *shared) resumeRun(ctx context.Context, x *localExecutions, run app.LocalRun, f resumeFlags) error {
	id := run.Execution.ID
	start := startFlags{yes: f.yes, watch: f.watch, wait: true}
	if f.cancel {
		if err := x.end(ctx, id, f.comment); err != nil {
			return err
		}
		return s.finish(ctx, x, id, start, true)
	}
	if done, err := s.propose(ctx, x, x, id, start); done || err != nil {
		return err
	}
	if f.approve || f.reject {
		if err := s.answerStep(ctx, x, id, f); err != nil {
			return err
		}
	}
	return s.finish(ctx, x, id, start, true)
}

// answerStep gives the answer of the flags to the step that the run waits at. A run
// that was ended in the middle may have to come there first.
func (s *shared) answerStep(ctx context.Context, x *localExecutions, id string, f resumeFlags) error {
	e, err := x.until(ctx, id, func(e map[string]any) bool { return waitingStep(e) != nil || hasEnded(e) })
	if err != nil {
		return err
	}
	step := waitingStep(e)
	name := memberText(step, "StepName")
	switch {
	case step == nil:
		return fault.Errorf(fault.Conflict, "answer", "execution %s has ended with %s before a step asked", id, memberText(e, "AutomationExecutionStatus")).
			WithHint("run: parry runbook executions")
	case memberText(step, "Action") == runbook.ActionApprove:
		err = x.local.DecideStep(ctx, id, name, f.approve, f.comment)
	case f.reject:
		return usage("step %s is an aws:pause, to which nobody says no: --approve goes on, --cancel ends the run", name)
	default:
		err = x.local.Signal(ctx, id, string(automation.SignalResume), name, f.comment)
	}
	if err != nil {
		return err
	}
	_, err = x.until(ctx, id, func(e map[string]any) bool {
		now := waitingStep(e)
		return now == nil || memberText(now, "StepExecutionId") != memberText(step, "StepExecutionId")
	})
	return err
}

// waitingStep gives the step at which an execution waits for people; nil = there is none.
func waitingStep(e map[string]any) map[string]any {
	if memberText(e, "AutomationExecutionStatus") != string(automation.Waiting) {
		return nil
	}
	for _, st := range stepsOf(e) {
		action := memberText(st, "Action")
		if memberText(st, "StepStatus") == string(automation.Waiting) && (action == runbook.ActionApprove || action == runbook.ActionPause) {
			return st
		}
	}
	return nil
}

func hasEnded(e map[string]any) bool {
	return automation.Status(memberText(e, "AutomationExecutionStatus")).Ended()
}

// end cancels a run, whether it has begun or not, and waits for its end.
func (x *localExecutions) end(ctx context.Context, id, comment string) error {
	r, _, err := x.local.Planned(ctx, x.run)
	switch {
	case err != nil:
		return err
	case r.State == remediation.AwaitingApproval:
		err = x.local.Withdraw(ctx, r)
	default:
		err = x.local.Signal(ctx, id, string(automation.SignalCancel), "", comment)
	}
	if err == nil {
		_, err = x.until(ctx, id, hasEnded)
	}
	return err
}
