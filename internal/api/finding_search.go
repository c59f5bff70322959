package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

// FindingSearch asks for findings by Security Hub's filters and by words.
type FindingSearch struct {
	Filters json.RawMessage `json:"filters,omitempty" doc:"AwsSecurityFindingFilters, as GetFindings takes them."`
	Text    string          `json:"text,omitempty" maxLength:"512" doc:"Words that title or description must hold, in any order and case; at most 8."`
}

// FilterQuestion is a filter, or an automation rule, to be explained on a finding.
type FilterQuestion struct {
	Filters json.RawMessage `json:"filters,omitempty" doc:"AwsSecurityFindingFilters, as GetFindings takes them."`
	Rule    string          `json:"rule,omitempty" maxLength:"2048" doc:"Instead of filters: the key, ARN or name of an automation rule. Its criteria see what the provider sent last. Needs rule.read."`
}

// FilterAnswer says whether a filter matches a finding, and why.
type FilterAnswer struct {
	Matched bool           `json:"matched"`
	Reasons []FilterReason `json:"reasons" nullable:"false" doc:"One for each field; all must match."`
	// Updates are of a rule.
	Updates []finding.Update `json:"updates,omitempty" doc:"What the rule would change, were the finding sent now and the rule enabled and alone."`
}

// FilterReason is filter.Reason; it has a name of its own in the schema.
type FilterReason filter.Reason

type searchInput struct {
	Paging
	FindingColumns
	AccountsOutOfUse
	Body FindingSearch
}

type explainInput struct {
	FindingPath
	Body FilterQuestion
}

type explainOutput struct{ Body FilterAnswer }

// maxWords bounds the words of a search: each is looked for in every finding.
const maxWords = 8

func (in *searchInput) query() (store.FindingQuery, error) {
	q := store.FindingQuery{Limit: in.Limit, Cursor: in.Cursor, Where: in.where(), Sort: in.order(), ColumnsOnly: true, Exception: in.exception()}
	words := strings.Fields(in.Body.Text)
	if len(words) > maxWords {
		return q, fault.Errorf(fault.Invalid, "search findings", "the text has %d words, more than the limit of %d", len(words), maxWords)
	}
	for _, w := range words {
		q.Where = append(q.Where, store.Condition{Column: "text", Op: store.OpContains, Values: []string{w}})
	}
	var err error
	q.Filter, err = readFilters(in.Body.Filters)
	return q, err
}

func readFilters(raw json.RawMessage) (filter.Filter, error) {
	if len(raw) == 0 {
		return filter.Filter{}, nil
	}
	return filter.Parse(raw)
}

func (a *API) registerSearch() {
	register(a, operation{id: "search-findings", method: http.MethodPost, path: "/v1/findings/search", summary: "Find findings by filters and words, the latest update first", tag: "findings"}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *searchInput) (*findingsOutput, error) {
			q, err := in.query()
			if err != nil {
				return nil, err
			}
			q.Accounts = auth.Scope(p)
			if q.WithoutAccounts, err = a.hides(ctx, p, hiding{in.AccountsOutOfUse, in.FindingSelection, q.Filter}); err != nil {
				return nil, err
			}
			found, err := a.cfg.Findings.QueryFindings(ctx, q)
			if err != nil {
				return nil, err
			}
			listed := findingsPage(found).Body
			out := &findingsOutput{FindingList{Items: listed.Items, Next: listed.Next}}
			if in.Cursor == "" {
				out.Body.Hidden, out.Body.HiddenMore, err = a.hiddenBy(ctx, store.CountQuery{WithoutAccounts: q.WithoutAccounts, Where: q.Where, Exception: q.Exception}, q.Filter)
			}
			return out, err
		})
	register(a, operation{id: "explain-finding", method: http.MethodPost, path: "/v1/findings/{key}/explain", summary: "Say whether a filter matches a finding, clause by clause", tag: "findings"}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *explainInput) (*explainOutput, error) {
			if in.Body.Rule != "" {
				return a.explainRule(ctx, p, in)
			}
			criteria, err := readFilters(in.Body.Filters)
			if err != nil {
				return nil, err
			}
			r, err := a.finding(ctx, p, in.Key)
			if err != nil {
				return nil, err
			}
			doc, err := finding.Reopen(r.Doc)
			if err != nil {
				return nil, err
			}
			now := a.cfg.Clock.Now()
			answer := FilterAnswer{Matched: criteria.Match(doc, now), Reasons: []FilterReason{}}
			for _, reason := range criteria.Explain(doc, now) {
				answer.Reasons = append(answer.Reasons, FilterReason(reason))
			}
			return &explainOutput{answer}, nil
		})
}

// explainRule is for who may see rules, on the findings that they may see.
func (a *API) explainRule(ctx context.Context, p auth.Principal, in *explainInput) (*explainOutput, error) {
	if err := auth.Authorize(p, auth.RuleRead, auth.All); err != nil {
		return nil, err
	}
	if len(in.Body.Filters) > 0 {
		return nil, fault.Errorf(fault.Invalid, "explain finding", "filters and rule are both given").WithHint("ask one question at a time")
	}
	r, err := a.cfg.Rules.Rule(ctx, in.Body.Rule)
	if err != nil {
		return nil, err
	}
	if r.Problem != "" {
		return nil, fault.Errorf(fault.Conflict, "explain finding", "the rule is broken: %s", r.Problem).WithHint("look at it: parry rule show %s", r.Key)
	}
	record, err := a.finding(ctx, p, in.Key)
	if err != nil {
		return nil, err
	}
	said, err := a.cfg.Rules.ExplainRule(r.Rule, record)
	if err != nil {
		return nil, err
	}
	answer := FilterAnswer{Matched: said.Matched, Reasons: []FilterReason{}, Updates: said.Updates}
	for _, reason := range said.Reasons {
		answer.Reasons = append(answer.Reasons, FilterReason(reason))
	}
	return &explainOutput{answer}, nil
}

func findingsPage(found store.FindingPage) *page[Finding] {
	out := &page[Finding]{Page[Finding]{Items: make([]Finding, 0, len(found.Records)), Next: found.Next}}
	for _, r := range found.Records {
		out.Body.Items = append(out.Body.Items, findingOf(r))
	}
	return out
}
