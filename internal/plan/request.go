package plan

import (
	"context"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Desk takes the requests of people: remediate this finding, undo that
// remediation, run this document. The work is done by Stage, from the outbox.
type Desk struct {
	store DeskStore
	books Books
	runs  DeskRuns
	ids   service.IDs
	clock service.Clock
}

// DeskStore is what the desk reads and writes.
type DeskStore interface {
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
	Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error)
	Enqueue(ctx context.Context, f store.File, eff store.Effects) error
}

// Books gives playbooks by id, and the one that answers a control.
type Books interface {
	Playbook(id string) (playbook.Playbook, bool)
	PlaybookFor(control string) (playbook.Playbook, bool)
}

// DeskRuns is what the desk needs to start documents.
type DeskRuns interface {
	Documents
	PutBlob(ctx context.Context, owner string, content []byte) (string, error)
	CreateExecutions(ctx context.Context, all []store.ExecutionRecord, eff store.Effects) error
}

// StartsDocuments gives the desk what RequestRun needs.
func (d *Desk) StartsDocuments(runs DeskRuns) *Desk {
	d.runs = runs
	return d
}

// NewDesk gives a desk.
func NewDesk(s DeskStore, books Books, ids service.IDs, clock service.Clock) *Desk {
	return &Desk{store: s, books: books, ids: ids, clock: clock}
}

// RequestFix asks for a plan that remediates the finding by a playbook; "" is
// the one that answers its control. The plan is approved and executed under the
// same policy as any other.
func (d *Desk) RequestFix(ctx context.Context, id finding.ID, name, principal string) (remediation.ID, error) {
	const op = "request remediation"
	records, err := d.store.Findings(ctx, []finding.ID{id})
	if err != nil {
		return "", err
	}
	if len(records) == 0 {
		return "", fault.Errorf(fault.NotFound, op, "there is no finding %s", id).WithHint("run: parry finding list")
	}
	if ex := records[0].Exception; ex != "" {
		return "", fault.Errorf(fault.Conflict, op, "the finding is suppressed by the exception %s, so it is not remediated", ex).
			WithHint("see it: parry exception show %s; end it: parry exception expire %s", ex, ex)
	}
	pb, ok := d.books.PlaybookFor(records[0].Control)
	if name != "" {
		if pb, ok = d.books.Playbook(name); !ok {
			return "", fault.Errorf(fault.NotFound, op, "there is no playbook %q", name).WithHint("run: parry playbook list")
		}
	}
	if !ok {
		return "", fault.Errorf(fault.NotFound, op, "Parry has no fix for control %q: no playbook is written for it", records[0].Control).WithHint("fix it by hand, or write a playbook: docs/writing-a-runbook.md; what has one: parry playbook list")
	}
	return d.send(ctx, remediation.Request{Kind: remediation.KindFix, Finding: id, Playbook: pb.ID, RequestedBy: principal})
}

// RequestUndo asks for a plan that takes a remediation back.
func (d *Desk) RequestUndo(ctx context.Context, id remediation.ID, principal string) (remediation.ID, error) {
	r, err := d.store.Remediation(ctx, id)
	if err != nil {
		return "", err
	}
	if r.Kind == remediation.KindUndo {
		return "", fault.Errorf(fault.Conflict, "request undo", "%s is itself an undo", id).
			WithHint("remediate the finding again: parry finding remediate %s", r.UndoOf)
	}
	if !r.State.Can(remediation.Undoing) {
		return "", fault.Errorf(fault.Conflict, "request undo", "remediation %s is %s and cannot be undone", id, r.State).
			WithHint("run: parry remediation show %s", id)
	}
	return d.send(ctx, remediation.Request{Kind: remediation.KindUndo, Finding: r.Finding, UndoOf: id, RequestedBy: principal})
}

func (d *Desk) send(ctx context.Context, req remediation.Request) (remediation.ID, error) {
	req.ID = remediation.ID(d.ids.NewID("rem"))
	eff, err := store.Effects{}.Hand(store.TopicPlan, string(req.ID), req)
	if err != nil {
		return "", err
	}
	eff.Audit = []store.AuditRecord{{At: d.clock.Now(), Actor: req.RequestedBy, Action: "remediation.requested", Object: string(req.ID)}}
	return req.ID, d.store.Enqueue(ctx, store.Execution, eff)
}
