package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/rehearse"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// rehearsals runs documents in this process against an emulator, with one server
// without a port for each account. Plans are approved as they come: that is what
// a test is for.
type rehearsals struct {
	cfg      config.Config
	emulator *app.Emulator
	log      *slog.Logger
	version  string
	locals   map[string]*app.Local
}

// Run runs a document to its end.
func (r *rehearsals) Run(ctx context.Context, q rehearse.Request) (rehearse.Result, error) {
	var none rehearse.Result
	local, err := r.local(ctx, q.Account)
	if err != nil {
		return none, err
	}
	for _, d := range q.Children {
		if err := local.PutDocument(ctx, d.Name, d.Content); err != nil {
			return none, err
		}
	}
	if q.Attachments != "" {
		if err := keepAttachments(ctx, local, q); err != nil {
			return none, err
		}
	}
	id, run, err := local.StartRun(ctx, remediation.Run{
		Document: remediation.Runbook{Name: q.Document.Name, Content: q.Document.Content}, Parameters: q.Parameters, Account: q.Account, Region: q.Region,
	})
	if err != nil {
		return none, err
	}
	planned, plan, err := local.Planned(ctx, run)
	if err != nil {
		return none, err
	}
	if planned.State == remediation.AwaitingApproval {
		if err := local.Approve(ctx, planned); err != nil {
			return none, err
		}
	}
	if planned.State.Final() && plan == nil {
		// It could not be planned: the document would fail.
		return rehearse.Result{Status: string(automation.Failed), Failure: planned.Reason}, nil
	}
	return r.result(ctx, local, id, run, plan)
}

// result waits for the end of a run and gives how it ended.
func (r *rehearsals) result(ctx context.Context, local *app.Local, id string, run remediation.ID, plan *remediation.Plan) (rehearse.Result, error) {
	var out rehearse.Result
	if plan != nil && plan.Open {
		out.Open = plan.OpenReason
	}
	// The execution has ended before its remediation is verified; what was verified
	// is no concern of a test.
	ended, err := local.Await(ctx, run, func(m remediation.Remediation) bool {
		return m.State != remediation.AwaitingApproval && m.State != remediation.Queued && m.State != remediation.Running
	})
	if err != nil {
		return out, err
	}
	shown, err := local.Execution(ctx, id)
	if err != nil {
		return out, err
	}
	e := shown.Execution
	out.Status, out.Failure, out.Outputs = e.Status, e.Failure, e.Outputs
	if !automation.Status(e.Status).Ended() {
		out.Status, out.Failure = string(automation.Failed), ended.Reason
	}
	out.Changes, err = local.Changes(ctx, run)
	return out, err
}

func keepAttachments(ctx context.Context, local *app.Local, q rehearse.Request) error {
	doc, err := runbook.Parse([]byte(q.Document.Content))
	if err != nil {
		return err
	}
	contents, err := attachmentsIn(doc, q.Attachments)
	if err != nil {
		return err
	}
	for _, c := range contents {
		if _, err := local.PutAttachment(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// local gives the server of an account.
func (r *rehearsals) local(ctx context.Context, account string) (*app.Local, error) {
	if l := r.locals[account]; l != nil {
		return l, nil
	}
	l, err := app.NewLocal(ctx, app.LocalConfig{
		Config: r.cfg, Region: "us-east-1", Version: r.version, Logger: r.log, Emulator: r.emulator, Account: account, AnyAccount: true,
	})
	if err != nil {
		return nil, err
	}
	if err := l.Start(ctx); err != nil {
		_ = l.Stop(context.WithoutCancel(ctx)) // the error says more
		return nil, err
	}
	r.locals[account] = l
	return l, nil
}

func (r *rehearsals) close(ctx context.Context) error {
	var errs []error
	for _, l := range r.locals {
		errs = append(errs, l.Stop(ctx))
	}
	return errors.Join(errs...)
}
