package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/store"
)

// Health says whether the server can serve, and nothing else.
type Health struct {
	Status string `json:"status" enum:"ok,unavailable"`
}

type healthOutput struct {
	Status int
	Body   Health
}

func (a *API) registerHealth() {
	op := a.describe(operation{id: "get-health", method: http.MethodGet, path: "/v1/health", summary: "Whether the server can serve; needs no signature", tag: "server"}, "")
	op.Security = []map[string][]string{{}}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*healthOutput, error) { return a.health(ctx), nil })
}

func (a *API) health(ctx context.Context) *healthOutput {
	if err := a.cfg.Ready(ctx); err != nil {
		a.log.WarnContext(ctx, "not ready", "error", err)
		return &healthOutput{http.StatusServiceUnavailable, Health{"unavailable"}}
	}
	return &healthOutput{http.StatusOK, Health{"ok"}}
}

// ServeHealth answers GET /v1/health as ServeHTTP does, without the other endpoints: what
// watches a server does not build them.
func (a *API) ServeHealth(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "" {
		a.ServeHTTP(w, r) // which knows what is wrong with it
		return
	}
	out := a.health(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(out.Status)
	if err := json.NewEncoder(w).Encode(out.Body); err != nil {
		a.log.DebugContext(r.Context(), "the answer was not read", "error", err)
	}
}

// FindingSelection selects findings by what lists show; an empty member does not
// restrict. It is exported because huma skips embedded fields that are not.
type FindingSelection struct {
	Account     string `query:"account" maxLength:"64"`
	Region      string `query:"region" maxLength:"64"`
	Control     string `query:"control" maxLength:"128" doc:"Security control id: S3.8."`
	Severity    string `query:"severity" enum:"INFORMATIONAL,LOW,MEDIUM,HIGH,CRITICAL"`
	Workflow    string `query:"workflow" enum:"NEW,NOTIFIED,SUPPRESSED,RESOLVED"`
	RecordState string `query:"record_state" enum:"ACTIVE,ARCHIVED"`
	Compliance  string `query:"compliance" enum:"PASSED,WARNING,FAILED,NOT_AVAILABLE"`
	ResourceID  string `query:"resource_id" maxLength:"1024"`
	ID          string `query:"id" maxLength:"512" doc:"The finding's Id; several products may use the same."`
	ProductArn  string `query:"product_arn" maxLength:"2048"`
	Overdue     bool   `query:"overdue" doc:"Only findings whose deadline has passed."`
	Excepted    bool   `query:"excepted" doc:"Only findings that an exception suppresses."`
	Exception   string `query:"exception" maxLength:"128" doc:"Only findings that this exception suppresses."`
}

// FindingColumns is how the lists of findings are asked for.
type FindingColumns struct {
	FindingSelection
	Unique bool   `query:"unique" doc:"Leave out findings that another one about the same control and resource stands for."`
	Sort   string `query:"sort" enum:"updated,priority" default:"updated" doc:"The latest update first, or the most urgent."`
}

// order gives the order of the list; with equal priority the latest update is first.
func (in FindingColumns) order() []store.SortKey {
	latest := store.SortKey{Column: "updated_at", Descending: true}
	if in.Sort == "priority" {
		return []store.SortKey{{Column: "priority", Descending: true}, latest}
	}
	return []store.SortKey{latest}
}

// exception gives the exception that the findings must be suppressed by, "" for any or
// none.
func (in FindingColumns) exception() string {
	if in.Exception == "" && in.Excepted {
		return store.AnyException
	}
	return in.Exception
}

type findingsInput struct {
	Paging
	FindingColumns
	AccountsOutOfUse
}

type findingsOutput struct{ Body FindingList }

func (in FindingSelection) where() []store.Condition {
	var where []store.Condition
	for _, c := range []struct{ column, value string }{
		{"account", in.Account},
		{"region", in.Region},
		{"control", in.Control},
		{"severity", in.Severity},
		{"workflow", in.Workflow},
		{"record_state", in.RecordState},
		{"compliance", in.Compliance},
		{"resource_id", in.ResourceID},
		{"id", in.ID},
		{"product_arn", in.ProductArn},
	} {
		if c.value != "" {
			where = append(where, store.Condition{Column: c.column, Op: store.OpEqual, Values: []string{c.value}})
		}
	}
	if in.Overdue {
		where = append(where, store.Condition{Column: "overdue", Op: store.OpEqual, Values: []string{"1"}})
	}
	return where
}

// FindingPath names a finding. It is exported because huma skips embedded
// fields that are not.
type FindingPath struct {
	Key string `path:"key" maxLength:"4096" doc:"The finding's key."`
}

type findingOutput struct{ Body FindingDetail }

type historyInput struct {
	FindingPath
	Paging
}

func (a *API) registerFindings() {
	a.registerSearch()
	register(a, operation{id: "list-findings", method: http.MethodGet, path: "/v1/findings", summary: "List findings, the latest update or the most urgent first", tag: "findings"}, auth.FindingRead,
		a.listFindings)
	register(a, operation{id: "get-finding", method: http.MethodGet, path: "/v1/findings/{key}", summary: "Show a finding with its document", tag: "findings"}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *FindingPath) (*findingOutput, error) {
			r, err := a.finding(ctx, p, in.Key)
			if err != nil {
				return nil, err
			}
			f, err := finding.Reopen(r.Doc)
			if err != nil {
				return nil, err
			}
			score, err := a.cfg.Ranker.Explain(ctx, r)
			if err != nil {
				return nil, err
			}
			// Those of a group are of one account, so whoever may see one may see all.
			linked, err := a.cfg.Findings.LinkedFindings(ctx, r.ID)
			if err != nil {
				return nil, err
			}
			excepted, err := a.exceptionShown(ctx, r)
			if err != nil {
				return nil, err
			}
			remedy, err := a.remedy(ctx, p, r, excepted)
			if err != nil {
				return nil, err
			}
			out := &findingOutput{FindingDetail{Finding: findingOf(r), ExceptedBy: excepted, Remedy: remedy, Reasons: score.Reasons, Document: f.Bare().JSON(), OCSF: ocsf.JSON(ocsf.Export(f)), Links: []finding.Link{}, Linked: []LinkedFinding{}}}
			if slices.Contains(a.cfg.Detective, f.Region()) {
				out.Body.Links = append(out.Body.Links, f.DetectiveLinks()...)
			}
			for i, id := range linked {
				if id != r.ID {
					out.Body.Linked = append(out.Body.Linked, LinkedFinding{Key: id.Key(), ID: id.Id, ProductArn: id.ProductArn, Main: i == 0})
				}
			}
			return out, nil
		})
	a.registerResources()
	register(a, operation{id: "list-finding-history", method: http.MethodGet, path: "/v1/findings/{key}/history", summary: "List what changed on a finding, the latest first", tag: "findings"}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *historyInput) (*page[store.HistoryEntry], error) {
			r, err := a.finding(ctx, p, in.Key)
			if err != nil {
				return nil, err
			}
			entries, next, err := a.cfg.Findings.FindingHistory(ctx, r.ID, in.Limit, in.Cursor)
			if err != nil {
				return nil, err
			}
			return pageOf(entries, next), nil
		})
}

func (a *API) listFindings(ctx context.Context, p auth.Principal, in *findingsInput) (*findingsOutput, error) {
	without, err := a.hides(ctx, p, hiding{show: in.AccountsOutOfUse, in: in.FindingSelection})
	if err != nil {
		return nil, err
	}
	q := store.FindingQuery{
		Accounts: auth.Scope(p), WithoutAccounts: without, Where: in.where(), Sort: in.order(), Limit: in.Limit, Cursor: in.Cursor,
		ColumnsOnly: true, MainOnly: in.Unique, Exception: in.exception(),
	}
	found, err := a.cfg.Findings.QueryFindings(ctx, q)
	if err != nil {
		return nil, err
	}
	listed := findingsPage(found).Body
	out := &findingsOutput{FindingList{Items: listed.Items, Next: listed.Next}}
	if in.Cursor == "" {
		out.Body.Hidden, err = a.hidden(ctx, store.CountQuery{WithoutAccounts: without, Where: q.Where, MainOnly: q.MainOnly, Exception: q.Exception})
	}
	return out, err
}

type resourcesInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many resources."`
}

// registerResources lists what findings are about. There is no next page: it is what
// to begin with, not an inventory.
func (a *API) registerResources() {
	register(a, operation{id: "list-resources", method: http.MethodGet, path: "/v1/resources", summary: "List the resources that need attention first", tag: "findings"}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *resourcesInput) (*page[Resource], error) {
			found, err := a.cfg.Findings.TopResources(ctx, auth.Scope(p), in.Limit)
			if err != nil {
				return nil, err
			}
			out := make([]Resource, len(found))
			for i, r := range found {
				out[i] = Resource(r)
			}
			return pageOf(out, ""), nil
		})
}

// pageOf makes a page whose items are a list even when there are none.
func pageOf[T any](items []T, next string) *page[T] {
	if items == nil {
		items = []T{}
	}
	return &page[T]{Page[T]{items, next}}
}

// finding gives the finding with key if it is within p's accounts.
func (a *API) finding(ctx context.Context, p auth.Principal, key string) (store.FindingRecord, error) {
	id, ok := finding.ParseKey(key)
	if !ok {
		return store.FindingRecord{}, unknownFinding(key)
	}
	return a.findingByID(ctx, p, id)
}

func (a *API) findingByID(ctx context.Context, p auth.Principal, id finding.ID) (store.FindingRecord, error) {
	records, err := a.cfg.Findings.Findings(ctx, []finding.ID{id})
	switch {
	case err != nil:
		return store.FindingRecord{}, err
	case len(records) != 1 || !p.Covers(records[0].Account):
		return store.FindingRecord{}, unknownFinding(id.Id)
	}
	return records[0], nil
}

func unknownFinding(id string) error {
	return notFound("finding", id, "list them: parry finding list")
}
