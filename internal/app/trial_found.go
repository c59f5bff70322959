package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/sweep"
	"github.com/parry-security/parry/internal/triage"
)

// foundFinding is an open finding on its way into the report.
type foundFinding struct {
	doc    finding.Finding
	record store.FindingRecord
	source string
	shown  TrialFinding
}

// foundFindings are those found so far, each once.
type foundFindings struct {
	all  []foundFinding
	ids  map[finding.ID]bool
	says map[[3]string]bool // account, control and resource
}

// add keeps a finding that is open and was not there before.
func (s *foundFindings) add(doc finding.Finding, source string) bool {
	var r store.FindingRecord
	r.Describe(doc)
	if s.ids == nil {
		s.ids, s.says = map[finding.ID]bool{}, map[[3]string]bool{}
	}
	if s.ids[r.ID] {
		return false
	}
	s.ids[r.ID] = true
	s.says[[3]string{r.Account, strings.ToLower(r.Control), r.ResourceID}] = true
	s.all = append(s.all, foundFinding{doc: doc, record: r, source: source})
	return true
}

// trialSource is the source as which Security Hub's findings are read: they pass the
// same check as a server's.
func trialSource() ingest.Source {
	return ingest.Source{Name: "try", Accounts: []string{ingest.Any}, Products: []string{ingest.Any}}
}

// take reads one finding of Security Hub.
func (t *trial) take(raw any, region string) {
	text, err := json.Marshal(raw)
	if err != nil {
		t.problem("a finding of Security Hub", "", region, err)
		return
	}
	taken := trialSource().Take(readDocument, text, "GetFindings "+region, t.clock.Now(), false)
	for _, a := range taken.Aside {
		t.unread(TrialProblem{What: "finding " + clipText(a.FindingID, 200), Region: region, Problem: "it is refused: " + clipText(a.Reason, 400)})
	}
	for _, item := range taken.Items {
		doc, err := finding.Parse(item.Finding)
		if err != nil {
			t.problem("a finding of Security Hub", "", region, err)
			continue
		}
		doc = finding.Create(doc)
		if t.concerns(doc) {
			t.found.add(doc, TrialHub)
		}
	}
}

// concerns reports whether a finding is open and was asked for.
func (t *trial) concerns(doc finding.Finding) bool {
	w := doc.Workflow()
	return doc.Record() == finding.Active && w != finding.Suppressed && w != finding.Resolved && doc.Compliance() != finding.Passed &&
		(len(t.cfg.Controls) == 0 || slices.ContainsFunc(doc.Controls(), t.wanted)) &&
		(len(t.cfg.Accounts) == 0 || slices.Contains(t.cfg.Accounts, doc.Account())) &&
		(len(t.cfg.Regions) == 0 || slices.Contains(t.cfg.Regions, doc.Region()))
}

// swept makes a finding of a resource that fails, as Security Hub would have it.
func (t *trial) swept(pb playbook.Playbook, r sweep.Resource, p sweep.Place) bool {
	id := pb.Controls[0]
	if t.found.says[[3]string{p.Account, strings.ToLower(id), r.ARN}] {
		return false
	}
	severity, title := "MEDIUM", pb.Title
	if d, ok := control.Lookup(id); ok {
		severity, title = d.Severity, d.Title
	}
	var seen []string
	for _, c := range r.Checks {
		seen = append(seen, c.Detail)
	}
	now, partition := finding.FormatTime(t.clock.Now()), apimodel.Partition(p.Region)
	raw, err := json.Marshal(map[string]any{
		"SchemaVersion": "2018-10-08", "Id": fmt.Sprintf("parry-try/%s/%s/%s/%s", id, p.Account, p.Region, r.ARN),
		"ProductArn":  fmt.Sprintf("arn:%s:securityhub:%s:%s:product/%s/default", partition, p.Region, p.Account, p.Account),
		"ProductName": "Parry sweep", "GeneratorId": "security-control/" + id, "AwsAccountId": p.Account, "Region": p.Region,
		"Types":     []string{"Software and Configuration Checks/AWS Security Best Practices"},
		"CreatedAt": now, "UpdatedAt": now, "Severity": map[string]any{"Label": severity}, "Title": title,
		"Description": clipText("A live read found: "+strings.Join(seen, "; "), 1024),
		"Resources":   []any{map[string]any{"Type": pb.Resource, "Id": r.ARN, "Partition": partition, "Region": p.Region}},
		"Compliance":  map[string]any{"Status": "FAILED", "SecurityControlId": id}, "Workflow": map[string]any{"Status": "NEW"}, "RecordState": "ACTIVE",
	})
	var doc finding.Finding
	if err == nil {
		doc, err = finding.Parse(raw)
	}
	if err != nil {
		t.problem("what was found on "+r.ARN, p.Account, p.Region, err)
		return false
	}
	return t.found.add(finding.Create(doc), TrialSweep)
}

// rank gives every finding its priority as triage does, and puts the first of them into
// the report.
func (t *trial) rank() {
	threatened := map[string]bool{}
	for _, f := range t.found.all {
		if triage.IsThreat(f.doc) {
			threatened[f.record.ResourceID] = true
		}
	}
	for i := range t.found.all {
		f := &t.found.all[i]
		f.shown = TrialFinding{
			ID: f.record.ID.Id, Source: f.source, Title: f.record.Title, Product: f.record.Product, Control: f.record.Control, Severity: f.record.SeverityLabel,
			Account: f.record.Account, Region: f.record.Region, Resource: f.record.ResourceID,
			Priority: t.scorer.Score(f.doc, threatened[f.record.ResourceID], t.report.At),
		}
	}
	slices.SortStableFunc(t.found.all, func(a, b foundFinding) int {
		return cmp.Or(
			-cmp.Compare(a.shown.Priority.Value, b.shown.Priority.Value), -cmp.Compare(a.record.SeverityNormalized, b.record.SeverityNormalized),
			cmp.Compare(a.shown.Control, b.shown.Control), cmp.Compare(a.shown.Account, b.shown.Account), cmp.Compare(a.shown.Region, b.shown.Region), cmp.Compare(a.shown.Resource, b.shown.Resource),
			cmp.Compare(a.shown.ID, b.shown.ID),
		)
	})
	t.report.Open = len(t.found.all)
	if t.cfg.Limit > 0 && len(t.found.all) > t.cfg.Limit {
		t.report.Limits = append(t.report.Limits, fmt.Sprintf("%d findings are open; the first %d by priority are listed and planned for (--limit)", t.report.Open, t.cfg.Limit))
		t.found.all = t.found.all[:t.cfg.Limit]
	}
}

// clipText bounds what others wrote.
func clipText(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}
