package api

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// Attacher keeps the files of documents; it checks the right of the principal.
type Attacher interface {
	Attach(ctx context.Context, p auth.Principal, document, version, file string, content []byte) (runbook.File, error)
}

// Executions reads the runs of documents.
type Executions interface {
	AutomationExecution(ctx context.Context, id string) (remediation.Execution, error)
}

type attachInput struct {
	Document string `path:"name" maxLength:"128"`
	File     string `path:"file" maxLength:"128" doc:"The file's name under files: in the document."`
	Version  string `query:"version" maxLength:"20" doc:"A number, $DEFAULT or $LATEST. Default: $LATEST."`
	RawBody  []byte `contentType:"application/octet-stream"`
}

type attachOutput struct{ Body Attached }

// Attached is a file that a document has.
type Attached struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

type executionInput struct {
	ID string `path:"id" maxLength:"64"`
}

type executionOutput struct{ Body ExecutionDetail }

// ExecutionDetail links an execution of Systems Manager's API with what Parry made
// of it.
type ExecutionDetail struct {
	ID          string            `json:"id"`
	Document    string            `json:"document"`
	Version     string            `json:"version,omitempty"`
	Account     string            `json:"account"`
	Region      string            `json:"region"`
	Role        string            `json:"role,omitempty" doc:"ARN; absent for the organization's member role."`
	Status      string            `json:"status" doc:"In the words of Systems Manager."`
	Failure     string            `json:"failure,omitempty"`
	Parent      string            `json:"parent,omitempty" doc:"The execution that started it."`
	StartedBy   string            `json:"started_by"`
	Remediation remediation.ID    `json:"remediation"`
	State       remediation.State `json:"state,omitempty" doc:"Of the remediation; absent until it is planned."`
	PlanHash    remediation.Hash  `json:"plan_hash,omitempty"`
	Reason      string            `json:"reason,omitempty"`
	Hint        string            `json:"hint,omitempty"`
}

func (a *API) registerDocuments() {
	register(a, operation{
		id: "attach-file", method: http.MethodPut, path: "/v1/documents/{name}/attachments/{file}", summary: "Upload a file that a document declares, at most 1 MiB", tag: "documents",
	}, auth.DocumentWrite, func(ctx context.Context, p auth.Principal, in *attachInput) (*attachOutput, error) {
		f, err := a.cfg.Attacher.Attach(ctx, p, in.Document, in.Version, in.File, in.RawBody)
		return &attachOutput{Attached{f.Name, f.SHA256, f.Size}}, err
	})
	register(a, operation{
		id: "get-execution", method: http.MethodGet, path: "/v1/executions/{id}", summary: "Show where an execution stands, with its remediation and plan", tag: "executions",
	}, auth.ExecutionRead, a.getExecution)
}

func (a *API) getExecution(ctx context.Context, p auth.Principal, in *executionInput) (*executionOutput, error) {
	e, err := a.cfg.Executions.AutomationExecution(ctx, in.ID)
	if fault.Is(err, fault.NotFound) || err == nil && !p.Covers(e.Account) {
		return nil, notFound("execution", in.ID, "list them: aws ssm describe-automation-executions")
	}
	if err != nil {
		return nil, err
	}
	out := ExecutionDetail{
		ID: e.ID, Document: e.Document, Version: e.Version, Account: e.Account, Region: e.Region, Role: e.Role, Status: e.Status, Failure: e.Failure,
		Parent: e.Parent, StartedBy: e.StartedBy, Remediation: e.Remediation,
	}
	r, err := a.cfg.Remediations.Remediation(ctx, e.Remediation)
	switch {
	case fault.Is(err, fault.NotFound):
		return &executionOutput{out}, nil
	case err != nil:
		return nil, err
	}
	out.State, out.PlanHash, out.Reason, out.Hint = r.State, r.PlanHash, r.Reason, r.Hint
	return &executionOutput{out}, nil
}
