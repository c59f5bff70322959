package client

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// Paging asks for a page of a list; zero values are the server's defaults.
type Paging struct {
	Limit  int
	Cursor string
}

func (p Paging) values() url.Values {
	v := url.Values{}
	set(v, "cursor", p.Cursor)
	if p.Limit != 0 {
		v.Set("limit", strconv.Itoa(p.Limit))
	}
	return v
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

// Health asks whether the server can serve.
func (c *Client) Health(ctx context.Context) error {
	return c.call(ctx, http.MethodGet, "/v1/health", nil, nil, nil)
}

// FindingFilter selects findings; a zero field does not restrict.
type FindingFilter struct {
	Account, Region, Control, Severity, Workflow, RecordState, Compliance, ResourceID string

	ID         string
	ProductArn string
	// Overdue selects those whose deadline has passed. Sort is "updated", the default,
	// or "priority".
	Overdue bool
	Sort    string
	// Unique leaves out findings that another one stands for.
	Unique bool
	// Excepted selects those that an exception suppresses, Exception those that this
	// one does.
	Excepted  bool
	Exception string
	// AllAccounts has lists and counts hold findings of accounts that are out of use;
	// a search always does.
	AllAccounts bool
}

// Resources lists up to n resources that need attention first.
func (c *Client) Resources(ctx context.Context, n int) ([]api.Resource, error) {
	var out api.Page[api.Resource]
	err := c.call(ctx, http.MethodGet, "/v1/resources", Paging{Limit: n}.values(), nil, &out)
	return out.Items, err
}

// Findings lists findings, the latest update or the most urgent first.
func (c *Client) Findings(ctx context.Context, f FindingFilter, p Paging) (api.FindingList, error) {
	var out api.FindingList
	err := c.call(ctx, http.MethodGet, "/v1/findings", f.values(p), nil, &out)
	return out, err
}

func (f FindingFilter) values(p Paging) url.Values {
	v := p.values()
	for name, value := range map[string]string{
		"account": f.Account, "region": f.Region, "control": f.Control, "severity": f.Severity, "workflow": f.Workflow,
		"record_state": f.RecordState, "compliance": f.Compliance, "resource_id": f.ResourceID, "id": f.ID, "product_arn": f.ProductArn, "sort": f.Sort, "exception": f.Exception,
	} {
		set(v, name, value)
	}
	if f.Overdue {
		v.Set("overdue", "true")
	}
	if f.Excepted {
		v.Set("excepted", "true")
	}
	if f.AllAccounts {
		v.Set("all_accounts", "true")
	}
	if f.Unique {
		v.Set("unique", "true")
	}
	return v
}

// SearchFindings lists those of Findings that Security Hub's filters and words
// select, the latest update first.
func (c *Client) SearchFindings(ctx context.Context, f FindingFilter, s api.FindingSearch, p Paging) (api.FindingList, error) {
	var out api.FindingList
	err := c.call(ctx, http.MethodPost, "/v1/findings/search", f.values(p), s, &out)
	return out, err
}

// ExplainFinding says why a filter matches a finding or not.
func (c *Client) ExplainFinding(ctx context.Context, id finding.ID, q api.FilterQuestion) (api.FilterAnswer, error) {
	var out api.FilterAnswer
	err := c.call(ctx, http.MethodPost, "/v1/findings/"+api.FindingKey(id)+"/explain", nil, q, &out)
	return out, err
}

// Finding gives a finding with its document.
func (c *Client) Finding(ctx context.Context, id finding.ID) (api.FindingDetail, error) {
	var out api.FindingDetail
	err := c.call(ctx, http.MethodGet, "/v1/findings/"+api.FindingKey(id), nil, nil, &out)
	return out, err
}

// FindingHistory lists what changed on a finding, the latest first.
func (c *Client) FindingHistory(ctx context.Context, id finding.ID, p Paging) (api.Page[store.HistoryEntry], error) {
	var out api.Page[store.HistoryEntry]
	err := c.call(ctx, http.MethodGet, "/v1/findings/"+api.FindingKey(id)+"/history", p.values(), nil, &out)
	return out, err
}

// ControlFilter selects controls; a zero field does not restrict.
type ControlFilter struct {
	Standard, Severity, Status, Service, Account string
}

// Controls lists security controls with their status, by id.
func (c *Client) Controls(ctx context.Context, f ControlFilter, p Paging) (api.Page[api.Control], error) {
	v := p.values()
	for name, value := range map[string]string{"standard": f.Standard, "severity": f.Severity, "status": f.Status, "service": f.Service, "account": f.Account} {
		set(v, name, value)
	}
	var out api.Page[api.Control]
	err := c.call(ctx, http.MethodGet, "/v1/controls", v, nil, &out)
	return out, err
}

// Control gives a control and where it fails; account "" is all.
func (c *Client) Control(ctx context.Context, id, account string) (api.ControlDetail, error) {
	var out api.ControlDetail
	if id == "" || strings.Contains(id, "/") {
		return out, fault.Errorf(fault.Invalid, "read control", "%q is not the id of a control, such as S3.8", id)
	}
	v := url.Values{}
	set(v, "account", account)
	err := c.call(ctx, http.MethodGet, "/v1/controls/"+id, v, nil, &out)
	return out, err
}

// ScoreQuery asks for scores: By is organization, account, unit or standard.
type ScoreQuery struct {
	By, Standard, Account string
}

// Scores lists security scores.
func (c *Client) Scores(ctx context.Context, q ScoreQuery, p Paging) (api.Page[api.SecurityScore], error) {
	v := p.values()
	set(v, "by", q.By)
	set(v, "standard", q.Standard)
	set(v, "account", q.Account)
	var out api.Page[api.SecurityScore]
	err := c.call(ctx, http.MethodGet, "/v1/scores", v, nil, &out)
	return out, err
}

// RemediationFilter selects remediations; a zero field does not restrict.
type RemediationFilter struct {
	State   remediation.State
	Account string
	Control string
	Finding finding.ID
	UndoOf  remediation.ID
}

// Remediations lists remediations, the latest first.
func (c *Client) Remediations(ctx context.Context, f RemediationFilter, p Paging) (api.Page[remediation.Remediation], error) {
	v := p.values()
	set(v, "state", string(f.State))
	set(v, "account", f.Account)
	set(v, "control", f.Control)
	set(v, "undo_of", string(f.UndoOf))
	if !f.Finding.IsZero() {
		v.Set("finding", api.FindingKey(f.Finding))
	}
	var out api.Page[remediation.Remediation]
	err := c.call(ctx, http.MethodGet, "/v1/remediations", v, nil, &out)
	return out, err
}

// Remediation gives a remediation with its changes and steps.
func (c *Client) Remediation(ctx context.Context, id remediation.ID) (api.RemediationDetail, error) {
	var out api.RemediationDetail
	err := c.on(ctx, http.MethodGet, "/v1/remediations/", string(id), "", nil, &out)
	return out, err
}

// Calls lists the AWS calls made for a remediation, the first first.
func (c *Client) Calls(ctx context.Context, id remediation.ID, p Paging) (api.Page[remediation.CallRecord], error) {
	var out api.Page[remediation.CallRecord]
	at, err := path("/v1/remediations/", string(id), "/calls")
	if err != nil {
		return out, err
	}
	err = c.call(ctx, http.MethodGet, at, p.values(), nil, &out)
	return out, err
}

// Plan gives the plan of a remediation.
func (c *Client) Plan(ctx context.Context, id remediation.ID) (api.PlanDocument, error) {
	var out api.PlanDocument
	err := c.on(ctx, http.MethodGet, "/v1/plans/", string(id), "", nil, &out)
	return out, err
}

// Remediate asks for the remediation of a finding. An empty playbook is the one
// for the finding's control.
func (c *Client) Remediate(ctx context.Context, id finding.ID, playbook string) (remediation.ID, error) {
	var out api.Requested
	err := c.call(ctx, http.MethodPost, "/v1/remediations", nil, api.RemediationRequest{ProductArn: id.ProductArn, ID: id.Id, Playbook: playbook}, &out)
	return out.Remediation, err
}

// Undo asks for the undo of a remediation.
func (c *Client) Undo(ctx context.Context, id remediation.ID) (remediation.ID, error) {
	var out api.Requested
	err := c.on(ctx, http.MethodPost, "/v1/remediations/", string(id), "/undo", nil, &out)
	return out.Remediation, err
}

// CancelRemediation ends a remediation that waits, or asks one that runs to end.
func (c *Client) CancelRemediation(ctx context.Context, id remediation.ID, reason string) error {
	return c.on(ctx, http.MethodPost, "/v1/remediations/", string(id), "/cancel", api.StopRequest{Reason: reason}, nil)
}

// UpdateFinding sets the workflow status of a finding and its note; "" leaves either.
func (c *Client) UpdateFinding(ctx context.Context, id finding.ID, workflow, note string) error {
	return c.on(ctx, http.MethodPatch, "/v1/findings/", id.Key(), "", api.FindingUpdate{Workflow: workflow, Note: note}, nil)
}

// GroupFindings counts what a search finds, within a selection, by one attribute. n is
// how many groups are wanted, 0 for the server's default.
func (c *Client) GroupFindings(ctx context.Context, f FindingFilter, search api.FindingSearch, by string, n int) (api.FindingGroups, error) {
	var out api.FindingGroups
	v := f.values(Paging{Limit: n})
	v.Set("by", by)
	v.Del("sort")
	err := c.call(ctx, http.MethodPost, "/v1/findings/groups", v, search, &out)
	return out, err
}

// Approvals lists approvals in state ("" for all), the latest first.
func (c *Client) Approvals(ctx context.Context, state remediation.ApprovalState, p Paging) (api.Page[remediation.Approval], error) {
	v := p.values()
	set(v, "state", string(state))
	var out api.Page[remediation.Approval]
	err := c.call(ctx, http.MethodGet, "/v1/approvals", v, nil, &out)
	return out, err
}

// Approval gives one approval.
func (c *Client) Approval(ctx context.Context, id string) (remediation.Approval, error) {
	var out remediation.Approval
	err := c.on(ctx, http.MethodGet, "/v1/approvals/", id, "", nil, &out)
	return out, err
}

// Grant agrees to the plan with hash.
func (c *Client) Grant(ctx context.Context, id string, hash remediation.Hash, reason string) (remediation.Approval, error) {
	var out remediation.Approval
	err := c.on(ctx, http.MethodPost, "/v1/approvals/", id, "/grant", api.DecisionRequest{PlanHash: hash, Reason: reason}, &out)
	return out, err
}

// Reject refuses the plan with hash.
func (c *Client) Reject(ctx context.Context, id string, hash remediation.Hash, reason string) (remediation.Approval, error) {
	var out remediation.Approval
	err := c.on(ctx, http.MethodPost, "/v1/approvals/", id, "/reject", api.DecisionRequest{PlanHash: hash, Reason: reason}, &out)
	return out, err
}

// VerifyAudit has the server recompute the audit log's hash chain.
func (c *Client) VerifyAudit(ctx context.Context) (api.AuditReport, error) {
	var out api.AuditReport
	err := c.call(ctx, http.MethodGet, "/v1/audit/verify", nil, nil, &out)
	return out, err
}

// ExportAudit writes the audit log after index after as JSON lines.
func (c *Client) ExportAudit(ctx context.Context, after int64, w io.Writer) error {
	patient := *c.cfg.HTTP
	patient.Timeout = 0 // A long log takes long; ctx says when it is enough.
	res, err := c.send(ctx, &patient, http.MethodGet, "/v1/audit/export", url.Values{"after": {strconv.FormatInt(after, 10)}}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	buf := bufio.NewReader(res.Body)
	if _, err := buf.WriteTo(w); err != nil {
		return fault.E(fault.Unavailable, "export the audit log", err).WithHint("the export is not whole; run it again")
	}
	return nil
}

// Guards gives the guards and budgets in force.
func (c *Client) Guards(ctx context.Context) (api.GuardReport, error) {
	var out api.GuardReport
	err := c.call(ctx, http.MethodGet, "/v1/guards", nil, nil, &out)
	return out, err
}

// StopSwitch tells whether all changes are stopped.
func (c *Client) StopSwitch(ctx context.Context) (api.StopSwitch, error) {
	var out api.StopSwitch
	err := c.call(ctx, http.MethodGet, "/v1/stop-switch", nil, nil, &out)
	return out, err
}

// SetStopSwitch stops all changes, or lets them go on.
func (c *Client) SetStopSwitch(ctx context.Context, on bool, reason string) (api.StopSwitch, error) {
	var out api.StopSwitch
	err := c.call(ctx, http.MethodPut, "/v1/stop-switch", nil, api.StopSwitch{On: on, Reason: reason}, &out)
	return out, err
}

// Keys lists the access keys, without their secrets.
func (c *Client) Keys(ctx context.Context) (api.Page[api.Key], error) {
	var out api.Page[api.Key]
	err := c.call(ctx, http.MethodGet, "/v1/keys", nil, nil, &out)
	return out, err
}

// CreateKey issues an access key; its secret is in the answer, once.
func (c *Client) CreateKey(ctx context.Context, k api.KeyRequest) (api.NewKey, error) {
	var out api.NewKey
	err := c.call(ctx, http.MethodPost, "/v1/keys", nil, k, &out)
	return out, err
}

// RevokeKey revokes an access key at once.
func (c *Client) RevokeKey(ctx context.Context, accessKeyID string) error {
	return c.on(ctx, http.MethodDelete, "/v1/keys/", accessKeyID, "", nil, nil)
}

// Attach uploads a file that a document declares; version "" is the latest. At most
// api.MaxBody bytes.
func (c *Client) Attach(ctx context.Context, document, version, file string, content []byte) (api.Attached, error) {
	var out api.Attached
	prefix, err := path("/v1/documents/", document, "/attachments/")
	if err != nil {
		return out, err
	}
	p, err := path(prefix, file, "")
	if err != nil {
		return out, err
	}
	v := url.Values{}
	set(v, "version", version)
	return out, c.call(ctx, http.MethodPut, p, v, octets(content), &out)
}

// Execution gives where an execution of Systems Manager's API stands.
func (c *Client) Execution(ctx context.Context, id string) (api.ExecutionDetail, error) {
	var out api.ExecutionDetail
	err := c.on(ctx, http.MethodGet, "/v1/executions/", id, "", nil, &out)
	return out, err
}

// on calls an endpoint whose path holds an id.
func (c *Client) on(ctx context.Context, method, prefix, id, suffix string, in, out any) error {
	p, err := path(prefix, id, suffix)
	if err != nil {
		return err
	}
	return c.call(ctx, method, p, nil, in, out)
}

// Sources lists queues and hubs with what they brought to the node that answers.
func (c *Client) Sources(ctx context.Context) (api.Page[api.Source], error) {
	var out api.Page[api.Source]
	err := c.call(ctx, http.MethodGet, "/v1/sources", nil, nil, &out)
	return out, err
}

// RejectedList lists what could not be accepted, the latest first; source "" is all.
func (c *Client) RejectedList(ctx context.Context, source string, p Paging) (api.Page[api.Rejected], error) {
	v := p.values()
	set(v, "source", source)
	var out api.Page[api.Rejected]
	err := c.call(ctx, http.MethodGet, "/v1/rejected", v, nil, &out)
	return out, err
}

// Rejected gives what could not be accepted, whole.
func (c *Client) Rejected(ctx context.Context, id string) (api.Rejected, error) {
	var out api.Rejected
	err := c.on(ctx, http.MethodGet, "/v1/rejected/", id, "", nil, &out)
	return out, err
}

// RetryRejected sends it in again.
func (c *Client) RetryRejected(ctx context.Context, id string) error {
	return c.on(ctx, http.MethodPost, "/v1/rejected/", id, "/retry", nil, nil)
}

// DropRejected forgets it.
func (c *Client) DropRejected(ctx context.Context, id string) error {
	return c.on(ctx, http.MethodDelete, "/v1/rejected/", id, "", nil, nil)
}

// Import sends documents of a file, at most 500 and api.MaxBody bytes.
func (c *Client) Import(ctx context.Context, documents []api.ImportDocument) (api.ImportResult, error) {
	in := struct {
		Documents []api.ImportDocument `json:"documents"`
	}{documents}
	var out api.ImportResult
	err := c.call(ctx, http.MethodPost, "/v1/imports", nil, in, &out)
	return out, err
}
