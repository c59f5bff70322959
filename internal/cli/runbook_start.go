package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// startFlags are the flags of runbook start.
type startFlags struct {
	params      []string
	parameters  string
	account     string
	region      string
	targetParam string
	targets     []string
	locations   string
	concurrency string
	errors      string
	waves       string
	attachments string
	plan        bool
	wait        bool
	watch       bool
	yes         bool
}

// executions is where documents run: a server, or this process.
type executions interface {
	// start asks for a run and gives the id of its execution.
	start(ctx context.Context, r startRequest) (string, error)
	// execution gives an execution as GetAutomationExecution answers it.
	execution(ctx context.Context, id string) (map[string]any, error)
	// cancel ends a run.
	cancel(ctx context.Context, id string) error
	close(ctx context.Context) error
}

// proposer runs documents in this process, which shows and approves their plans.
type proposer interface {
	// proposal gives the plan of a run as soon as there is one.
	proposal(ctx context.Context, id string) (proposal, error)
	// approve approves exactly the plan of a proposal.
	approve(ctx context.Context, p proposal) error
}

// answerer takes a person's word on a step that waits for one.
type answerer interface {
	// decide answers an aws:approve step, as the caller.
	decide(ctx context.Context, id, step string, grant bool) error
	// resume ends an aws:pause step.
	resume(ctx context.Context, id, step string) error
}

// previewer plans documents elsewhere, in the words of Systems Manager's API.
type previewer interface {
	preview(ctx context.Context, r startRequest) (map[string]any, error)
}

// startRequest is what to run: Run.Document is the name, or name and content of
// a file.
type startRequest struct {
	run         remediation.Run
	attachments string // folder or zip; "" = none
}

// proposal is a plan that somebody may have to approve.
type proposal struct {
	execution string
	plan      *remediation.Plan // nil = there will be none: the run ended before
	hash      remediation.Hash
	state     remediation.State
}

func (s *shared) runbookStartCommand() *cobra.Command {
	var f startFlags
	c := &cobra.Command{
		Use:   "start FILE|NAME",
		Short: "Run a document: planned, approved, and in AWS's words",
		Long: "Runs an Automation document and prints the AutomationExecution as Systems Manager's API shapes it.\n\n" +
			"A NAME is a document of a server (PARRY_ENDPOINT, --endpoint or parry.yaml), which plans the run under its policies,\n" +
			"as `aws ssm start-automation-execution` would there. A FILE runs in this process, with this process's own AWS\n" +
			"credentials and a store below PARRY_DATA_DIR: its plan is shown, and a run that changes something asks first. Without\n" +
			"a terminal and --yes nothing is changed: the exit code is 5, and parry runbook resume EXECUTION --yes carries out the plan\n" +
			"that was shown. A document's own assumeRole is honoured.\n\n" +
			"A parameter's value is text, or a JSON list or object; file:// reads it from a file. Exit codes: 0 the run ended with\n" +
			"Success, 1 with Failed, TimedOut or Cancelled, 2 the command line is wrong, 5 it waits.",
		Example: "  parry runbook start rotate.yaml --param KeyId=1234abcd-12ab-34cd-56ef-1234567890ab --plan\n" +
			"  parry runbook start rotate.yaml --param 'Ids=[\"a\",\"b\"]' --parameters file://more.json --yes -o json\n" +
			"  parry runbook start AWS-RestartEC2Instance --account 111122223333 --target Key=tag:Stage,Values=dev --target-parameter InstanceId --watch",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := f.request(args[0])
			if err != nil {
				return err
			}
			where, err := s.openExecutions(cmd.Context(), request)
			if err != nil {
				return err
			}
			return s.closing(cmd.Context(), where, s.startRun(cmd.Context(), where, request, f))
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&f.params, "param", nil, "a parameter as `NAME=VALUE`; may be repeated")
	flags.StringVar(&f.parameters, "parameters", "", "parameters as a JSON `object`, or file:// and the name of a file with one")
	flags.StringVar(&f.account, "account", "", "account to run on (default: the server's only one, or that of the credentials)")
	flags.StringVar(&f.region, "region", "", "region to run in (default: AWS_REGION, then us-east-1)")
	flags.StringArrayVar(&f.targets, "target", nil, "run once for each of these, with --target-parameter: `Key=KEY,Values=VALUE,...`")
	flags.StringVar(&f.targetParam, "target-parameter", "", "the parameter that takes a target's `name`")
	flags.StringVar(&f.locations, "target-locations", "", "accounts and regions as Systems Manager's TargetLocations: `JSON`, or file://")
	flags.StringVar(&f.concurrency, "max-concurrency", "", "targets at once: a `number`, or a percentage")
	flags.StringVar(&f.errors, "max-errors", "", "errors after which no further target is begun: a `number`, or a percentage")
	flags.StringVar(&f.waves, "waves", "", "begin with `CANARY,GROWTH` targets, each wave growing so many times, and only when the one before has ended within --max-errors")
	flags.StringVar(&f.attachments, "attachments", "", "`folder` or zip with the attachments of a FILE (default: beside it)")
	flags.BoolVar(&f.plan, "plan", false, "show the plan and run nothing")
	flags.BoolVar(&f.wait, "wait", false, "wait until a run on a server has ended")
	flags.BoolVar(&f.watch, "watch", false, "show steps on standard error as they begin and end")
	flags.BoolVar(&f.yes, "yes", false, "approve the plan of a FILE as yourself")
	return c
}

// closing closes what documents ran in, and gives err, or what went wrong with that.
// The command's context may have ended; closing has a limit of its own.
func (s *shared) closing(ctx context.Context, where executions, err error) error {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	if closing := where.close(end); err == nil {
		err = closing
	}
	return err
}

// request checks the flags and reads what they name.
func (f startFlags) request(what string) (startRequest, error) {
	var r startRequest
	var err error
	switch {
	case f.plan && f.yes:
		return r, usage("give --plan or --yes, not both")
	case f.account != "" && !isAccount(f.account):
		return r, usage("--account %q is not a 12-digit account id", f.account)
	case len(f.targets) > 0 && f.targetParam == "":
		return r, usage("--target goes with --target-parameter: the parameter that takes a target")
	}
	if r.run.Parameters, err = parameters(f.params, f.parameters); err != nil {
		return r, err
	}
	if r.run.Targets, err = targets(f.targets); err != nil {
		return r, err
	}
	if r.run.TargetLocations, err = locations(f.locations); err != nil {
		return r, err
	}
	if r.run.Waves, err = waves(f.waves); err != nil {
		return r, err
	}
	r.run.Account, r.run.Region, r.run.TargetParameterName = f.account, f.region, f.targetParam
	r.run.MaxConcurrency, r.run.MaxErrors = f.concurrency, f.errors
	if !isFile(what) {
		switch {
		case f.yes:
			return r, usage("--yes approves the run of a FILE in this process; a server's plans are approved with parry approval grant")
		case f.attachments != "":
			return r, usage("--attachments goes with a FILE")
		}
		r.run.Document.Name = what
		return r, nil
	}
	raw, err := readFile(what)
	if err != nil {
		return r, usage("%v", err)
	}
	r.run.Document = remediation.Runbook{Name: documentName(what), Content: string(raw)}
	r.attachments = cmp.Or(f.attachments, filepath.Dir(what))
	return r, nil
}

// documentName makes the name of a document of that of its file: runbook.yaml is
// named after its folder, as in the catalogue.
func documentName(file string) string {
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if base == "runbook" {
		if abs, err := filepath.Abs(file); err == nil {
			base = filepath.Base(filepath.Dir(abs))
		}
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.", r) {
			return r
		}
		return '-'
	}, base)
	const shortest, longest = 3, 128 // of a document's name
	return (name + strings.Repeat("-", max(0, shortest-len(name))))[:min(max(len(name), shortest), longest)]
}

// openExecutions gives this process for a file, and the configured server for a name.
func (s *shared) openExecutions(ctx context.Context, r startRequest) (executions, error) {
	if r.run.Document.Content == "" {
		return s.remoteExecutions(r.run.Document.Name, r.run.Region)
	}
	cfg, err := config.Optional(s.config)
	if err != nil {
		return nil, err
	}
	return s.localExecutions(ctx, cfg, r)
}

// The pace at which a run is looked at: at first often, since most are short.
const (
	firstLook = 20 * time.Millisecond
	lastLook  = 2 * time.Second
)

// startRun carries a run from its request to the printed execution.
func (s *shared) startRun(ctx context.Context, where executions, r startRequest, f startFlags) error {
	if v, ok := where.(previewer); ok && f.plan {
		shown, err := v.preview(ctx, r)
		if err != nil {
			return err
		}
		return s.printDocument(shown)
	}
	id, err := where.start(ctx, r)
	if err != nil {
		return err
	}
	local, isLocal := where.(proposer)
	if isLocal {
		done, err := s.propose(ctx, where, local, id, f)
		if done || err != nil {
			return err
		}
	}
	return s.finish(ctx, where, id, f, isLocal)
}

// finish follows a run to its end, or to where it waits, and prints it.
func (s *shared) finish(ctx context.Context, where executions, id string, f startFlags, local bool) error {
	e, err := s.follow(ctx, where, id, f, local)
	if err != nil {
		return err
	}
	if x, ok := where.(*localExecutions); ok && hasEnded(e) {
		x.settle(ctx)
	}
	if err := s.printExecution(e); err != nil {
		return err
	}
	if local && !hasEnded(e) {
		fmt.Fprintf(s.Err, "next:  parry runbook resume %s\n", id)
	}
	return exitOf(e)
}

// propose shows the plan of a run and has it approved where it must be. It
// reports whether there is nothing more to do.
func (s *shared) propose(ctx context.Context, where executions, local proposer, id string, f startFlags) (done bool, err error) {
	p, err := local.proposal(ctx, id)
	if err != nil {
		return false, err
	}
	if p.plan == nil {
		return false, nil // the execution says why
	}
	if f.plan {
		if err := s.printPlan(p); err != nil {
			return true, err
		}
		return true, where.cancel(ctx, id)
	}
	if p.state != remediation.AwaitingApproval {
		return false, nil
	}
	if f.yes {
		return false, local.approve(ctx, p)
	}
	s.planSheet(s.Err, p)
	granted, asked, err := s.ask(ctx, "Run it? [y/N] ")
	switch {
	case granted:
		return false, local.approve(ctx, p)
	case asked:
		why := errors.New("nothing was changed")
		if errors.Is(err, errInterrupted) {
			why = fmt.Errorf("%w; %w", err, why)
		}
		// Whoever interrupts it leaves no plan behind that waits.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		if err := where.cancel(end, id); err != nil {
			return true, err
		}
		return true, exit(ExitError, why)
	}
	// Without a terminal nobody can be asked: the run stays, and its plan with it, for
	// whoever has read what is printed here.
	e, err := where.execution(ctx, id)
	if err != nil {
		return true, err
	}
	if err := s.printExecution(e); err != nil {
		return true, err
	}
	fmt.Fprintf(s.Err, "nothing was changed: the plan waits for approval\nnext:  parry runbook resume %s --yes carries it out; --cancel drops it\n", id)
	return true, exit(ExitWaiting, nil)
}

// follow waits for the end of a run that this process carries out, or is told to
// wait for, and shows its steps if asked.
func (s *shared) follow(ctx context.Context, where executions, id string, f startFlags, local bool) (map[string]any, error) {
	view := liveSteps{w: s.Err, seen: map[string]string{}}
	told, answered := false, map[string]bool{}
	for pause := firstLook; ; pause = min(pause*3/2, lastLook) {
		e, err := where.execution(ctx, id)
		if err != nil {
			return nil, err
		}
		if f.watch {
			view.show(e)
		}
		status := automation.Status(memberText(e, "AutomationExecutionStatus"))
		if status.Ended() || !local && !f.wait && !f.watch {
			return e, nil
		}
		if a, ok := where.(answerer); ok && status == automation.Waiting {
			waits, err := s.answer(ctx, a, id, e, answered)
			if errors.Is(err, errInterrupted) {
				return nil, interrupted(ctx, id, local)
			}
			if err != nil || waits {
				return e, err
			}
		}
		if why := memberText(e, "FailureMessage"); status == automation.Pending && why != "" && !told && !local {
			fmt.Fprintln(s.Err, printable(why)) // what it waits for
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, interrupted(ctx, id, local)
		case <-time.After(pause):
		}
	}
}

// interrupted says what becomes of a run whose command was ended.
func interrupted(ctx context.Context, id string, local bool) error {
	err := fault.E(fault.Unavailable, "follow execution "+id, context.Cause(ctx))
	if local {
		return err.WithHint("it stands where it was; go on: parry runbook resume %s; end it: parry runbook resume %s --cancel", id, id)
	}
	return err.WithHint("it goes on at the server; end it: aws ssm stop-automation-execution --automation-execution-id %s", id)
}

// answer asks the person at the terminal what a step that waits for people asks,
// once for each step. Waits says that nobody is there to answer.
func (s *shared) answer(ctx context.Context, a answerer, id string, e map[string]any, answered map[string]bool) (waits bool, err error) {
	step, action := memberText(e, "CurrentStepName"), memberText(e, "CurrentAction")
	if action != runbook.ActionApprove && action != runbook.ActionPause {
		return false, nil // it waits for AWS
	}
	for _, st := range stepsOf(e) {
		if memberText(st, "StepName") != step || memberText(st, "StepStatus") != string(automation.Waiting) {
			continue
		}
		key := memberText(st, "StepExecutionId")
		if answered[key] {
			return false, nil
		}
		answered[key] = true
		question := printable(fmt.Sprintf("Step %s pauses. Go on? [y/N] ", step))
		if action == runbook.ActionApprove {
			inputs, _ := st["Inputs"].(map[string]any)
			question = oneLine(fmt.Sprintf("Step %s asks for approval: %s  Approve? [y/N] ", step, inputText(inputs, "Message")))
		}
		yes, asked, err := s.ask(ctx, question)
		switch {
		case errors.Is(err, io.EOF):
			return true, nil // that is no answer: the step goes on waiting
		case err != nil || !asked:
			return true, errors.Join(err, s.nobody(asked, step))
		case action == runbook.ActionApprove:
			return false, a.decide(ctx, id, step, yes)
		case yes:
			return false, a.resume(ctx, id, step)
		}
		return true, nil
	}
	return false, nil
}

// inputText gives an input that is text; a step's inputs are JSON.
func inputText(inputs map[string]any, name string) string {
	var text string
	if raw := memberText(inputs, name); json.Unmarshal([]byte(raw), &text) != nil {
		return raw
	}
	return text
}

// nobody says that a step goes on waiting.
func (s *shared) nobody(asked bool, step string) error {
	if !asked {
		fmt.Fprintln(s.Err, printable(fmt.Sprintf("step %s waits for a person, and there is no terminal to ask at: resume with --approve, --reject or --cancel", step)))
	}
	return nil
}

// exitOf gives the exit code for the state of an execution.
func exitOf(e map[string]any) error {
	switch automation.Status(memberText(e, "AutomationExecutionStatus")) {
	case automation.Success:
		return nil
	case automation.Failed, automation.TimedOut, automation.Cancelled:
		return exit(ExitError, nil)
	default:
		return exit(ExitWaiting, nil)
	}
}

// maxLine is the longest line that a terminal gives at once.
const maxLine = 4096

// errInterrupted is what a question ends with on Ctrl-C.
var errInterrupted = errors.New("interrupted")

// ask asks on a terminal. It reports whether the answer was yes, and whether
// there was anybody to ask. The end of the input is io.EOF, and no; the end of
// ctx, which is Ctrl-C, is errInterrupted.
func (s *shared) ask(ctx context.Context, question string) (yes, asked bool, err error) {
	in, ok := s.In.(*os.File)
	if !ok || !isTerminal(in) {
		return false, false, nil
	}
	fmt.Fprint(s.Err, question)
	line := make(chan string, 1)
	go func() { // nothing ends a read of a terminal; it ends with the process
		buf := make([]byte, maxLine)
		n, _ := in.Read(buf) // the end of the input is an answer without a line
		line <- string(buf[:n])
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.Err)
		return false, true, errInterrupted
	case text := <-line:
		if text == "" {
			fmt.Fprintln(s.Err)
			return false, true, io.EOF
		}
		answer := strings.TrimSpace(text)
		return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), true, nil
	}
}

// noServer says what a name needs.
func noServer(name string) error {
	return fault.Errorf(fault.Invalid, "start "+name, "it is not a file, and no server is configured that could have a document of this name").
		WithHint("set PARRY_ENDPOINT and an access key, or give the file: parry runbook start ./%s.yaml", name)
}
