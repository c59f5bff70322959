package casefile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/remediation"
)

// The limits of what is taken of an event, in characters.
const (
	maxResource  = 512
	maxEventText = 2000
	// maxReported is how many resources of one event are taken.
	maxReported = 32
)

// Report is what an event says to a case.
type Report struct {
	Template   string    `json:"template"`
	Rule       string    `json:"rule"`
	Event      string    `json:"event"`
	At         time.Time `json:"at"`
	Source     string    `json:"source"`
	DetailType string    `json:"detail_type"`
	Hops       int       `json:"hops,omitempty"` // rules that the chain of events has passed

	Title        string           `json:"title"`
	Text         string           `json:"text,omitempty"`
	Severity     finding.Label    `json:"severity,omitempty"`
	Type         string           `json:"type"`
	Actor        string           `json:"actor,omitempty"`
	Account      string           `json:"account,omitempty"` // "": it is not known
	Regions      []string         `json:"regions,omitempty"`
	Resources    []string         `json:"resources,omitempty"`
	Findings     []finding.ID     `json:"findings,omitempty"`
	Remediations []remediation.ID `json:"remediations,omitempty"`
}

// FromEvent reports an event as such: what its envelope says, and of events about
// Parry's remediations what they are about. Nothing else of a detail is read, since
// whoever may put events writes it.
func FromEvent(e pattern.Envelope) Report {
	r := Report{
		Event: e.ID, At: e.Time.UTC(), Source: Plain(e.Source, maxResource), DetailType: Plain(e.DetailType, maxResource),
		Title: Plain(e.DetailType, MaxTitle), Type: Plain(e.DetailType, maxResource), Account: account(e.Account),
		Regions: regions(e.Region), Resources: resources(e.Resources),
	}
	if e.Parry != nil {
		r.Hops = e.Parry.Hops
	}
	if e.Source == pattern.SourceParry && e.DetailType == pattern.RemediationChanged {
		r.remediation(e.Detail)
	}
	return r
}

func (r *Report) remediation(detail json.RawMessage) {
	var c remediation.StateChange
	if json.Unmarshal(detail, &c) != nil {
		return // it is reported as an event
	}
	m := c.Remediation
	r.Title = Plain(fmt.Sprintf("Remediation %s is %s", m.ID, c.To), MaxTitle)
	r.Text = Plain(m.Reason, maxEventText)
	r.Account, r.Regions, r.Resources = account(m.Account), regions(m.Region), resources([]string{m.Resource})
	if m.ID != "" {
		r.Remediations = []remediation.ID{m.ID}
	}
	if !m.Finding.IsZero() {
		r.Findings = []finding.ID{m.Finding}
	}
}

// FromFinding reports one finding of an event of AWS's or Parry's own.
func FromFinding(e pattern.Envelope, f finding.Finding) Report {
	r := FromEvent(e)
	r.Title, r.Text = Plain(f.Title(), MaxTitle), Plain(f.String("Description"), maxEventText)
	if r.Title == "" {
		r.Title = Plain(e.DetailType, MaxTitle)
	}
	r.Account, r.Regions = account(f.Account()), regions(f.Region())
	if label := f.SeverityLabel(); label.Valid() {
		r.Severity = label
	}
	f.Values([]string{"Types"}, func(v any) bool {
		if s, ok := v.(string); ok && s != "" {
			r.Type = Plain(s, maxResource)
			return false
		}
		return true
	})
	var ids []string
	for _, res := range f.Resources() {
		ids = append(ids, res.ID)
		r.Regions = append(r.Regions, regions(res.Region)...)
	}
	r.Regions = merge(nil, r.Regions, MaxRegions)
	r.Resources, r.Findings, r.Actor = resources(ids), []finding.ID{f.ID()}, actor(f)
	return r
}

// remoteAddress ends the names of GuardDuty's product fields that have one.
const remoteAddress = "/remoteIpDetails/ipAddressV4"

// actor is who acted, as a finding claims it: the principal of an access key, or the
// remote address.
func actor(f finding.Finding) string {
	for _, res := range f.Resources() {
		if res.Type != "AwsIamAccessKey" {
			continue
		}
		var details struct {
			AwsIamAccessKey struct{ PrincipalID, PrincipalName string }
		}
		_ = json.Unmarshal(res.Details, &details) // without it there is no principal
		for _, name := range []string{details.AwsIamAccessKey.PrincipalID, details.AwsIamAccessKey.PrincipalName} {
			if name != "" {
				return Plain(name, maxResource)
			}
		}
	}
	var address []string
	f.Pairs([]string{"ProductFields"}, func(key, value string) bool {
		if strings.HasSuffix(key, remoteAddress) && value != "" {
			address = append(address, Plain(value, maxResource))
		}
		return true
	})
	if len(address) == 0 {
		return ""
	}
	return slices.Min(address) // the order of a map is none
}

func account(id string) string {
	if accountID.MatchString(id) {
		return id
	}
	return ""
}

func regions(name string) []string {
	if regionID.MatchString(name) {
		return []string{name}
	}
	return nil
}

func resources(ids []string) (out []string) {
	for _, id := range ids[:min(len(ids), maxReported)] {
		if id = Plain(id, maxResource); id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func (r Report) attribute(a Attribute) string {
	first := ""
	if len(r.Resources) > 0 {
		first = r.Resources[0]
	}
	switch a {
	case ByAccount:
		return r.Account
	case ByActor:
		if r.Actor != "" {
			return "actor " + r.Actor
		}
		return r.attribute(ByResource)
	case ByResource:
		if first != "" {
			return first
		}
	case ByType:
	}
	return "type " + r.Type
}

// Key names what is reported by one template: a repetition of it is told by that.
func (r Report) Key() string {
	h := sha256.New()
	for _, part := range []string{r.Template, r.Event, r.finding().Key()} {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(part), part) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (r Report) finding() (id finding.ID) {
	if len(r.Findings) > 0 {
		id = r.Findings[0]
	}
	return id
}

// Entry is the report as a line of a timeline.
func (r Report) Entry(kind Kind, at time.Time) Entry {
	e := Entry{
		At: at, OccurredAt: r.At, By: "rule/" + r.Rule, Kind: kind, Text: r.Title, Event: r.Event, Source: r.Source, DetailType: r.DetailType,
		Account: r.Account, Severity: r.Severity,
	}
	if r.At.IsZero() {
		e.OccurredAt = at
	}
	if len(r.Resources) > 0 {
		e.Resource = r.Resources[0]
	}
	if id := r.finding(); !id.IsZero() {
		e.Finding = &id
	}
	return e
}

// Open makes the case that a report opens.
func (t Template) Open(id string, r Report, at time.Time) Case {
	c := Case{
		ID: id, Title: r.Title, Description: r.Text, Engagement: t.Engagement, Status: Submitted, Severity: t.Severity,
		CreatedAt: at, UpdatedAt: at, CreatedBy: "rule/" + r.Rule, Template: t.Name, Rev: 1,
	}
	if t.Title != "" {
		c.Title = Plain(t.Title+": "+r.Title, MaxTitle)
	}
	if c.Title == "" {
		c.Title = "Event " + Plain(r.Event, maxResource/2)
	}
	if c.Description == "" {
		c.Description = c.Title
	}
	if c.ReportedAt = r.At; r.At.IsZero() {
		c.ReportedAt = at
	}
	if c.Severity == "" && r.Severity == "" {
		c.Severity = finding.Medium
	}
	return t.take(c, r)
}

// Takes reports whether there is room in c for a report. A case that has no room for an
// account takes none of its events: they would be shown to people of other accounts.
func (c Case) Takes(r Report) bool {
	known := r.Account != "" && slices.Contains(c.Accounts, r.Account)
	if r.Account == "" && len(c.Accounts) > 0 || r.Account != "" && len(c.Accounts) == 0 {
		return false // an event of an unknown account is for those alone who have all
	}
	return c.Status != Closed && c.Events < MaxEvents && c.Entries < MaxEntries && (known || len(c.Accounts) < MaxAccounts)
}

// Take adds what a report says to an open case that Takes it.
func (t Template) Take(c Case, r Report, at time.Time) Case {
	c.UpdatedAt = at
	return t.take(c, r)
}

func (t Template) take(c Case, r Report) Case {
	if r.Account != "" {
		c.Accounts = merge(c.Accounts, []string{r.Account}, MaxAccounts)
	}
	c.Regions = merge(c.Regions, r.Regions, MaxRegions)
	c.Resources = merge(c.Resources, r.Resources, MaxResources)
	c.Findings = merge(c.Findings, r.Findings, MaxFindings)
	c.Remediations = merge(c.Remediations, r.Remediations, MaxRemediations)
	if t.Severity == "" && r.Severity != "" && (c.Severity == "" || r.Severity.Normalized() > c.Severity.Normalized()) {
		c.Severity = r.Severity
	}
	c.Entries++
	c.Events++
	return c
}
