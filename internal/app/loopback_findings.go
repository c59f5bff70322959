package app

import (
	"context"
	"encoding/json"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// findingLoop is what runbooks reach of Parry's findings.
type findingLoop struct {
	update func(ctx context.Context, req triage.UpdateRequest, by string, accounts []string) (triage.UpdateResult, error)
	query  func(ctx context.Context, q securityhub.Query) (securityhub.Page, error)
	byID   func(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
}

// maxAsked bounds the findings of one call, as Security Hub does.
const maxAsked = 100

// findingUpdates answers BatchUpdateFindings on findings that Parry holds.
type findingUpdates struct{ *loopback }

// Answers reports whether Parry holds one of the findings. Those of the call that
// it does not hold are then answered as unprocessed.
func (u findingUpdates) Answers(ctx context.Context, c awsapi.LocalCall) (bool, error) {
	list, _ := c.Input["FindingIdentifiers"].([]any)
	var ids []finding.ID
	for _, raw := range list {
		m, _ := raw.(map[string]any)
		id, _ := m["Id"].(string)
		arn, _ := m["ProductArn"].(string)
		ids = append(ids, finding.ID{Id: id, ProductArn: arn})
	}
	return u.holds(ctx, ids)
}

func (l *loopback) holds(ctx context.Context, ids []finding.ID) (bool, error) {
	if l.findings == nil || len(ids) == 0 || len(ids) > maxAsked {
		return false, nil
	}
	found, err := l.findings.byID(ctx, ids)
	return len(found) > 0, err
}

// Answer updates the findings of the run's account.
func (u findingUpdates) Answer(ctx context.Context, c awsapi.LocalCall) (apimodel.Reply, error) {
	caller, err := u.caller(ctx, c)
	if err == nil && c.Remediation == "" {
		err = fault.Errorf(fault.Denied, "update findings", "the call belongs to no plan")
	}
	if err != nil {
		return apimodel.Reply{}, u.refusal(c, err)
	}
	raw, err := json.Marshal(c.Input)
	if err != nil {
		return apimodel.Reply{}, u.refusal(c, fault.E(fault.Invalid, "read input", err))
	}
	req, err := triage.ParseUpdate(raw)
	if err != nil {
		return apimodel.Reply{}, u.refusal(c, err)
	}
	// The plan that holds this very call was approved, so the run needs no right of
	// its own to findings, only their account.
	result, err := u.findings.update(ctx, req, "parry/remediation/"+string(c.Remediation), auth.Scope(caller.Principal))
	if err != nil {
		return apimodel.Reply{}, u.refusal(c, err)
	}
	if result.Processed == nil {
		result.Processed = []finding.ID{}
	}
	if result.Unprocessed == nil {
		result.Unprocessed = []triage.Unprocessed{}
	}
	return u.reply(c, result)
}

// findingReads answers GetFindings for findings that Parry holds.
type findingReads struct{ *loopback }

// Answers reports whether the call asks, by Id, for a finding that Parry holds.
func (f findingReads) Answers(ctx context.Context, c awsapi.LocalCall) (bool, error) {
	if f.findings == nil {
		return false, nil
	}
	filters, _ := c.Input["Filters"].(map[string]any)
	ids, _ := filters["Id"].([]any)
	if len(ids) == 0 || len(ids) > maxAsked {
		return false, nil
	}
	raw, err := json.Marshal(map[string]any{"Id": ids})
	if err != nil {
		return false, fault.E(fault.Invalid, "read filters", err)
	}
	page, err := f.findings.query(ctx, securityhub.Query{Accounts: []string{auth.All}, Filters: raw, Limit: 1})
	return len(page.Findings) > 0, err
}

// Answer gives a page of the findings of the run's account.
func (f findingReads) Answer(ctx context.Context, c awsapi.LocalCall) (apimodel.Reply, error) {
	caller, err := f.caller(ctx, c)
	if err != nil {
		return apimodel.Reply{}, f.refusal(c, err)
	}
	q := securityhub.Query{Accounts: auth.Scope(caller.Principal), Limit: maxAsked}
	q.Token, _ = c.Input["NextToken"].(string)
	if n, ok := c.Input["MaxResults"].(int64); ok {
		q.Limit = int(min(max(n, 1), maxAsked))
	}
	for name, to := range map[string]any{"Filters": &q.Filters, "SortCriteria": &q.Sort} {
		v, ok := c.Input[name]
		if !ok {
			continue
		}
		raw, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(raw, to)
		}
		if err != nil {
			return apimodel.Reply{}, f.refusal(c, fault.E(fault.Invalid, "read "+name, err))
		}
	}
	page, err := f.findings.query(ctx, q)
	if err != nil {
		return apimodel.Reply{}, f.refusal(c, err)
	}
	if page.Findings == nil {
		page.Findings = []json.RawMessage{}
	}
	return f.reply(c, map[string]any{"Findings": page.Findings, "NextToken": nextToken(page.Next)})
}

// nextToken leaves out an empty token, as AWS does.
func nextToken(s string) any {
	if s == "" {
		return nil
	}
	return s
}
