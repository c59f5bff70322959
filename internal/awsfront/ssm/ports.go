package ssm

import (
	"context"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// Documents reads the documents that people created. What is not there answers
// code not_found.
type Documents interface {
	// Document gives a version of a document: a number, runbook.DefaultVersion or
	// runbook.LatestVersion.
	Document(ctx context.Context, name string, version int) (runbook.Stored, error)
	// ListDocuments gives up to limit documents whose name is greater than after,
	// sorted by name (bytes), each in its default version and without Content.
	ListDocuments(ctx context.Context, after string, limit int) ([]runbook.Stored, error)
	// DocumentVersions gives up to limit versions below before (0 = all), the latest
	// first, without Content.
	DocumentVersions(ctx context.Context, name string, before, limit int) ([]runbook.Stored, error)
}

// DocumentWriter keeps documents. Each method writes eff in its transaction.
type DocumentWriter interface {
	// CreateDocument stores version 1. A name that is taken answers
	// store.ErrExists; more than limit documents answer code exhausted.
	CreateDocument(ctx context.Context, d runbook.Stored, limit int, eff store.Effects) error
	// AddDocumentVersion stores d as version d.Latest+1; another version that came
	// between answers store.ErrConflict, more than limit versions code exhausted. The
	// default stays.
	AddDocumentVersion(ctx context.Context, d runbook.Stored, limit int, eff store.Effects) error
	SetDefaultVersion(ctx context.Context, name string, version int, eff store.Effects) error
	// DeleteDocument deletes a version, or with version 0 the whole document. What
	// was started keeps the text that its plan pinned.
	DeleteDocument(ctx context.Context, name string, version int, eff store.Effects) error
	SetDocumentTags(ctx context.Context, name string, tags map[string]string, eff store.Effects) error
}

// Attachments keeps files by their content.
type Attachments interface {
	// PutAttachment gives the file of a document's version by its name; the content
	// has been checked against the checksum that the document declares.
	PutAttachment(ctx context.Context, document string, version int, f runbook.File, content []byte, eff store.Effects) error
}

// Catalog gives the documents that come with Parry, which nobody can change.
type Catalog interface {
	Runbook(name string) (remediation.Runbook, *runbook.Document, bool)
	// Runbooks gives their names, sorted.
	Runbooks() []string
}

// Rights says whether a principal may start a document. The scope of the
// principal has been checked.
type Rights interface {
	// MayStart answers code denied, with a hint, when principal may not run document
	// on account as role ("" = the organization's member role).
	MayStart(principal auth.Principal, document, account, role string) error
}

// Desk takes requests to run documents.
type Desk interface {
	// RequestRun stores an execution as Pending, gives out its id, and asks for its
	// plan, in one transaction: it can be read when RequestRun returns. A client token
	// that the principal used before answers store.ErrExists; ExecutionByToken gives
	// the first.
	RequestRun(ctx context.Context, run remediation.Run, principal string) (execution string, id remediation.ID, err error)
	// CancelRun ends a run that has not begun: its remediation becomes cancelled.
	// Code conflict says that it has begun meanwhile.
	CancelRun(ctx context.Context, e remediation.Execution, principal string) error
}

// Executions reads executions. What is not there answers code not_found.
type Executions interface {
	AutomationExecution(ctx context.Context, id string) (remediation.Execution, error)
	ExecutionByToken(ctx context.Context, principal, token string) (remediation.Execution, error)
	// ListAutomationExecutions gives a page, the latest started first. A cursor that
	// is not of this list answers code invalid.
	ListAutomationExecutions(ctx context.Context, f remediation.ExecutionFilter, limit int, cursor string) ([]remediation.Execution, string, error)
	// ListStepExecutions gives a page of the steps of an execution, in their order.
	ListStepExecutions(ctx context.Context, execution string, f remediation.StepFilter, limit int, cursor string) ([]remediation.StepExecution, string, error)
}

// Plans reads what a run was planned to do.
type Plans interface {
	// DocumentText gives the text that an execution runs, as it was pinned: the
	// document may have changed since.
	DocumentText(ctx context.Context, e remediation.Execution) (string, error)
	Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error)
	Plan(ctx context.Context, hash remediation.Hash) (remediation.Plan, error)
}

// Signals reach running executions.
type Signals interface {
	// PutSignal stores a signal and wakes the execution if it is parked.
	PutSignal(ctx context.Context, s remediation.Signal) error
}

// Decider takes a person's word on an aws:approve step that waits.
type Decider interface {
	// DecideStep records it and signals the execution. A principal that is not
	// among the approvers answers code denied; a step that does not wait, or one that
	// the principal has decided, conflict.
	DecideStep(ctx context.Context, step remediation.StepExecution, principal string, approve bool, comment string) error
}
