package insight

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
)

// findingsDetail is the detail of "Security Hub Findings - Custom Action".
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html
type findingsDetail struct {
	ActionName        string            `json:"actionName"`
	ActionDescription string            `json:"actionDescription"`
	Findings          []json.RawMessage `json:"findings"`
}

// resultsDetail is the detail of "Security Hub Insight Results".
type resultsDetail struct {
	ActionName        string             `json:"actionName"`
	ActionDescription string             `json:"actionDescription"`
	InsightArn        string             `json:"insightArn"`
	InsightName       string             `json:"insightName"`
	ResultType        string             `json:"resultType"`
	Number            int                `json:"number of results"`
	Results           []map[string]int64 `json:"insightResults"`
}

// Invoke sends findings to an action, each as an event of its own, and gives the ids of
// the events. All of them must be of accounts; of one that is not, as of one that is not
// there, nothing is said but that.
func (d *Desk) Invoke(ctx context.Context, a Action, ids []finding.ID, accounts []string, by string) ([]string, error) {
	const op = "invoke action"
	if len(ids) == 0 || len(ids) > MaxFindings {
		return nil, fault.Errorf(fault.Invalid, op, "%d findings are outside 1 to %d", len(ids), MaxFindings)
	}
	if _, err := d.cfg.Drain(ctx); err != nil {
		return nil, err
	}
	records, err := d.cfg.Store.Findings(ctx, ids)
	if err != nil {
		return nil, err
	}
	docs := map[finding.ID]json.RawMessage{}
	for _, r := range records {
		if slices.Contains(accounts, store.AllAccounts()[0]) || slices.Contains(accounts, r.Account) {
			docs[r.ID] = finding.Bare(r.Doc)
		}
	}
	var eff store.Effects
	var events []string
	names := make([]string, len(ids))
	for i, id := range ids {
		doc, ok := docs[id]
		if !ok {
			return nil, fault.Errorf(fault.NotFound, op, "there is no finding %q within your accounts, or it is named twice", id.Id).WithHint("list them: parry finding list")
		}
		delete(docs, id)
		e, err := d.event(a, pattern.FindingsCustomAction, findingsDetail{a.Name, a.Description, []json.RawMessage{doc}})
		if err != nil {
			return nil, err
		}
		if eff, err = eff.Hand(store.TopicAction, e.ID, store.Invoked{By: by, Event: e}); err != nil {
			return nil, fault.E(fault.Internal, op, err)
		}
		events, names[i] = append(events, e.ID), id.String()
	}
	return events, d.send(ctx, eff, by, a, map[string]any{"findings": names, "events": events})
}

// InvokeResults sends results of an insight to an action as one event, and gives its id.
// Values are those to send; none are all.
func (d *Desk) InvokeResults(ctx context.Context, a Action, i Insight, values, accounts []string, by string) (string, error) {
	const op = "invoke action"
	found, err := d.Results(ctx, i, accounts)
	if err != nil {
		return "", err
	}
	for _, v := range values {
		if !slices.ContainsFunc(found, func(r Result) bool { return r.Value == v }) {
			return "", fault.Errorf(fault.NotFound, op, "the insight has no result %q", clipped(v)).WithHint("see: parry insight results")
		}
	}
	detail := resultsDetail{
		ActionName: a.Name, ActionDescription: a.Description, InsightArn: i.ARN, InsightName: i.Name, ResultType: i.GroupBy, Results: []map[string]int64{},
	}
	for _, r := range found {
		if len(values) == 0 || slices.Contains(values, r.Value) {
			detail.Results = append(detail.Results, map[string]int64{r.Value: r.N})
		}
	}
	detail.Number = len(detail.Results)
	if detail.Number == 0 {
		return "", fault.Errorf(fault.Conflict, op, "the insight has no results, so there is nothing to send")
	}
	e, err := d.event(a, pattern.InsightResults, detail)
	if err != nil {
		return "", err
	}
	eff, err := store.Effects{}.Hand(store.TopicAction, e.ID, store.Invoked{By: by, Event: e})
	if err != nil {
		return "", fault.E(fault.Internal, op, err)
	}
	return e.ID, d.send(ctx, eff, by, a, map[string]any{"insight": i.ARN, "results": detail.Number, "events": []string{e.ID}})
}

// event makes an event about an action, of the account and Region of the action.
func (d *Desk) event(a Action, detailType string, detail any) (pattern.Envelope, error) {
	raw, err := json.Marshal(detail)
	if err != nil {
		return pattern.Envelope{}, fault.E(fault.Internal, "make event of "+a.ARN, err)
	}
	return pattern.Envelope{
		Version: "0", ID: uuid("action\x00" + d.cfg.IDs.NewID("event")), DetailType: detailType, Source: pattern.SourceSecurityHub,
		Account: d.cfg.Account, Time: d.now().Truncate(time.Second), Region: a.region, Resources: []string{a.ARN}, Detail: raw,
	}, nil
}

func (d *Desk) send(ctx context.Context, eff store.Effects, by string, a Action, detail map[string]any) error {
	detail["name"] = a.Name
	audit, err := d.audit("action.invoked", by, a.ARN, detail)
	if err != nil {
		return err
	}
	eff.Audit = audit.Audit
	return d.cfg.Store.Enqueue(ctx, store.Findings, eff)
}

// Region is where the action stands.
func (a Action) Region() string { return a.region }

// Region is where a custom insight stands, "" for a managed one.
func (i Insight) Region() string { return i.region }
