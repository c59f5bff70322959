package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// localExecutions are those of this process.
type localExecutions struct {
	local *app.Local
	doc   *runbook.Document
	run   remediation.ID
	// planned is the remediation as it was when its plan was there.
	planned remediation.Remediation
}

// localExecutions opens a server without a port for the document of r.
func (s *shared) localExecutions(ctx context.Context, cfg config.Config, r startRequest) (executions, error) {
	doc, err := runbook.Parse([]byte(r.run.Document.Content))
	if err != nil {
		return nil, err
	}
	if err := checkParameters(doc, r.run); err != nil {
		return nil, err
	}
	region := cmp.Or(r.run.Region, s.Getenv("AWS_REGION"), s.Getenv("AWS_DEFAULT_REGION"), cfg.Organization.HomeRegion)
	log := slog.New(slog.DiscardHandler)
	if s.verbose {
		log = s.logger()
	}
	l, err := app.NewLocal(ctx, app.LocalConfig{
		Config: cfg, Region: region, Version: s.Version, Logger: log,
		AnyAccount: r.run.Account != "" || len(r.run.TargetLocations) > 0,
	})
	if err != nil {
		return nil, err
	}
	x := &localExecutions{local: l, doc: doc}
	if a := r.run.Account; a != "" && a != l.Account {
		_ = l.Stop(context.WithoutCancel(ctx)) // the mistake says more
		return nil, exit(ExitUsage, fault.Errorf(fault.Invalid, "", "--account %s: a FILE runs with your own credentials, which are of account %s", a, l.Account).
			WithHint(`take credentials of that account, or a role in it: --target-locations '[{"Accounts":["%s"],"Regions":["%s"],"ExecutionRoleName":"ROLE"}]'`, a, region))
	}
	err = l.Start(ctx)
	if err == nil {
		err = x.attach(ctx, r.attachments)
	}
	if err != nil {
		_ = l.Stop(context.WithoutCancel(ctx)) // the error says more
		return nil, err
	}
	return x, nil
}

// checkParameters refuses parameters that the document does not take, before
// anything is opened for it. Those that come later are left to planning: with the
// targets, or from the Parameter Store.
func checkParameters(doc *runbook.Document, run remediation.Run) error {
	if run.OnTargets() {
		return nil
	}
	var later []string
	for _, p := range doc.Parameters {
		if text, ok := p.Default.(string); ok && p.HasDefault && runbook.ParseTemplate(text).HasReferences() && run.Parameters[p.Name] == nil {
			later = append(later, p.Name)
		}
	}
	if _, err := doc.ResolveGiven(run.Parameters, later); err != nil {
		return usage("%v; parry runbook show prints the parameters that it takes", err)
	}
	return nil
}

// attach keeps the files that the document declares.
func (x *localExecutions) attach(ctx context.Context, place string) error {
	if len(x.doc.Files) == 0 {
		return nil
	}
	contents, err := attachmentsIn(x.doc, place)
	if err != nil {
		return err
	}
	for _, c := range contents {
		if _, err := x.local.PutAttachment(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (x *localExecutions) start(ctx context.Context, r startRequest) (string, error) {
	id, run, err := x.local.StartRun(ctx, r.run)
	x.run = run
	return id, err
}

func (x *localExecutions) execution(ctx context.Context, id string) (map[string]any, error) {
	e, err := x.local.Execution(ctx, id)
	if err != nil {
		return nil, err
	}
	e.Document = x.doc
	shown, err := awsShape(ssm.Show(e))
	if err != nil {
		return nil, err
	}
	// No server can be asked for a run of this process.
	why, _, _ := strings.Cut(memberText(shown, "FailureMessage"), "; see: parry remediation show ")
	if strings.HasPrefix(why, "Pending until its plan is approved") {
		why = "Nothing was changed: its plan needs approval; approve it as yourself: parry runbook resume " + id + " --yes"
	}
	if why != "" {
		shown["FailureMessage"] = why
	}
	return shown, nil
}

// awsShape makes plain maps of what ssm shows, with times as text: as JSON they
// are seconds since 1970, which the AWS CLI does not show to people either.
func awsShape(shown any) (map[string]any, error) {
	raw, err := json.Marshal(shown)
	if err != nil {
		return nil, err
	}
	var e map[string]any
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	for _, m := range append(stepsOf(e), e) {
		for _, name := range []string{"ExecutionStartTime", "ExecutionEndTime"} {
			if seconds, ok := m[name].(float64); ok {
				m[name] = time.UnixMilli(int64(seconds * 1000)).UTC().Format(runbook.TimeFormat)
			}
		}
	}
	return e, nil
}

// until gives an execution as soon as it is as done wants it.
func (x *localExecutions) until(ctx context.Context, id string, done func(map[string]any) bool) (map[string]any, error) {
	for {
		e, err := x.execution(ctx, id)
		if err != nil || done(e) {
			return e, err
		}
		select {
		case <-ctx.Done():
			return nil, interrupted(ctx, id, true)
		case <-time.After(firstLook):
		}
	}
}

func (x *localExecutions) proposal(ctx context.Context, id string) (proposal, error) {
	r, p, err := x.local.Planned(ctx, x.run)
	x.planned = r
	return proposal{execution: id, plan: p, hash: r.PlanHash, state: r.State}, err
}

func (x *localExecutions) approve(ctx context.Context, _ proposal) error {
	return x.local.Approve(ctx, x.planned)
}

func (x *localExecutions) cancel(ctx context.Context, _ string) error {
	if x.planned.State != remediation.AwaitingApproval {
		return nil // it changes nothing, and runs or ran already
	}
	return x.local.Withdraw(ctx, x.planned)
}

func (x *localExecutions) decide(ctx context.Context, id, step string, grant bool) error {
	return x.local.DecideStep(ctx, id, step, grant, "")
}

func (x *localExecutions) resume(ctx context.Context, id, step string) error {
	return x.local.Signal(ctx, id, string(automation.SignalResume), step, "")
}

// settle waits until the remediation of an execution that has ended has ended too: one
// that is left before that is listed as unfinished. If it takes too long, resume does it.
func (x *localExecutions) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	_, _ = x.local.Await(ctx, x.run, nil)
}

func (x *localExecutions) close(ctx context.Context) error { return x.local.Stop(ctx) }
