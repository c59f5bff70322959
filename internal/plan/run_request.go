package plan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// pending is the status of a run that waits for its plan and its approval.
const pending = "Pending"

// Documents gives the documents that can be run, by name: those that people stored
// and those of the catalog.
type Documents interface {
	// Resolve pins a version ("" = the default) of a document. What is not there
	// answers code not_found.
	Resolve(ctx context.Context, name, version string) (remediation.Runbook, error)
}

// ExecutionID gives the id of the run that remediation id is: a UUID, as Systems
// Manager's ids are, the same at every call.
func ExecutionID(id remediation.ID) string {
	return service.UUID(sha256.Sum256([]byte("parry execution " + string(id))))
}

// RequestRun asks for a plan that runs a document: the execution is stored as
// Pending, and can be read, when it returns. Without content in run.Document the
// document is taken by its name. A client token that the principal used before
// answers store.ErrExists. The caller has checked that principal may.
func (d *Desk) RequestRun(ctx context.Context, run remediation.Run, principal string) (execution string, id remediation.ID, err error) {
	const op = "start document"
	id = remediation.ID(d.ids.NewID("rem"))
	run.Execution = ExecutionID(id)
	if err := d.pin(ctx, &run); err != nil {
		return "", "", err
	}
	doc, err := runbook.Parse([]byte(run.Document.Content))
	if err != nil {
		return "", "", err
	}
	for _, p := range runbook.Refusals(doc) {
		return "", "", fault.Errorf(fault.Invalid, op, "%s", p.Message).WithHint("run: parry runbook check")
	}
	if run.Mode == "" {
		run.Mode = "Auto"
	}
	content := run.Document.Content
	run.Document.Content = ""
	row := store.ExecutionRecord{
		ID: run.Execution, Remediation: id, Status: pending, StartedAt: d.clock.Now(),
		Of: store.ExecutionOf{
			Root: run.Execution, Document: run.Document.Name, Version: run.Version, Account: run.Account, Region: run.Region, StartedBy: principal,
			Token: token(principal, run.ClientToken), CrossAccount: len(run.TargetLocations) > 0, Mode: run.Mode, Parameters: run.Parameters, Tags: run.Tags, Run: &run,
		},
	}
	eff, err := store.Effects{}.Hand(store.TopicPlan, string(id), remediation.Request{
		ID: id, Kind: remediation.KindRun, RequestedBy: principal, Run: &remediation.Run{Execution: run.Execution},
	})
	if err != nil {
		return "", "", err
	}
	asked := map[string]any{
		"document": run.Document.Name, "revision": run.Document.Revision, "execution": run.Execution, "account": run.Account, "region": run.Region,
	}
	if run.Rule != "" {
		asked["rule"], asked["event"] = run.Rule, run.Event
	}
	detail, err := json.Marshal(asked)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", op, err)
	}
	eff.Audit = []store.AuditRecord{{At: d.clock.Now(), Actor: principal, Action: "execution.requested", Object: string(id), Detail: detail}}
	if _, err := d.runs.PutBlob(ctx, store.ExecutionBlobs(run.Execution), []byte(content)); err != nil {
		return "", "", err
	}
	return run.Execution, id, d.runs.CreateExecutions(ctx, []store.ExecutionRecord{row}, eff)
}

// pin fills in the document's text, and checks the one that was given.
func (d *Desk) pin(ctx context.Context, run *remediation.Run) error {
	const op = "start document"
	switch {
	case run.Account == "" || run.Region == "":
		return fault.Errorf(fault.Invalid, op, "account and region are needed")
	case d.runs == nil:
		return fault.Errorf(fault.Unavailable, op, "this desk starts no documents")
	case run.Document.Content != "":
		run.Document.Revision = runbook.Revision([]byte(run.Document.Content))
		return nil
	}
	pinned, err := d.runs.Resolve(ctx, run.Document.Name, run.Version)
	if err != nil {
		return err
	}
	run.Document, run.Version = pinned, pinned.Version
	return nil
}

// token makes a client token unique to its principal; "" stays "".
func token(principal, client string) string {
	if client == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(principal + "\x00" + client))
	return hex.EncodeToString(sum[:])
}

// Token gives the name under which the store finds the execution that principal
// started with a client token.
func Token(principal, client string) string { return token(principal, client) }

// RoleOf gives the role as which a document that was started with these parameters
// runs; "" = the organization's member role.
func RoleOf(doc *runbook.Document, given map[string]any) (string, error) {
	return assumed(doc, known(doc, given))
}

// assumed resolves a document's assumeRole: a literal ARN, or a parameter that may
// be empty.
func assumed(doc *runbook.Document, parameters map[string]any) (string, error) {
	if strings.TrimSpace(doc.AssumeRole) == "" {
		return "", nil
	}
	v, err := runbook.Resolve(doc.AssumeRole, values(parameters))
	if err != nil {
		return "", fault.Errorf(fault.Invalid, "read assumeRole", "%w", err)
	}
	role, ok := v.(string)
	if !ok {
		return "", fault.Errorf(fault.Invalid, "read assumeRole", "it is no text")
	}
	return strings.TrimSpace(role), nil
}
