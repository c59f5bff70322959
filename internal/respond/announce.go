package respond

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
)

// The kinds of events about cases, as AWS has them.
const (
	created = pattern.CaseCreated
	updated = pattern.CaseUpdated
	closed  = pattern.CaseClosed
)

// byService is what AWS writes for what no person did.
const byService = "security-ir.amazonaws.com"

// detail is AWS's (caseId, createdBy, updatedBy; AWS Security Incident Response User
// Guide, Case Events) with what a rule or a reader wants beside it.
type detail struct {
	CaseID    string `json:"caseId"`
	CreatedBy string `json:"createdBy,omitempty"`
	UpdatedBy string `json:"updatedBy,omitempty"`

	Title      string               `json:"title"`
	Status     casefile.Status      `json:"caseStatus"`
	Engagement casefile.Engagement  `json:"engagementType"`
	Severity   string               `json:"severity"`
	Accounts   []string             `json:"impactedAccounts"`
	Closure    casefile.ClosureCode `json:"closureCode,omitempty"`
	Change     casefile.Kind        `json:"change"`
	By         string               `json:"by"` // a person, or rule/NAME
	// Text is the entry's, without what people write in notes.
	Text string `json:"text,omitempty"`
}

// announce gives the event and, where action is not empty, the audit entry of what the
// entry tells of a case. hops are the rules that led to it.
func (d *Desk) announce(c casefile.Case, event string, e casefile.Entry, hops int, action string) (store.Effects, error) {
	op := "announce case " + c.ID
	who := d.cfg.Account
	if strings.HasPrefix(e.By, "rule/") {
		who = byService
	}
	says := detail{
		CaseID: c.ID, Title: c.Title, Status: c.Status, Engagement: c.Engagement, Severity: string(c.Severity),
		Accounts: append([]string{}, c.Accounts...), Closure: c.Closure, Change: e.Kind, By: e.By,
	}
	if e.Kind != casefile.Noted {
		says.Text = e.Text
	}
	switch event {
	case created:
		says.CreatedBy = who
	case updated:
		says.UpdatedBy = who
	}
	raw, err := json.Marshal(says)
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, op, err)
	}
	arn := d.ARN(c.ID)
	// One entry has one event.
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte(arn+"\x00"+c.CreatedAt.Format(time.RFC3339Nano)+"\x00"+strconv.FormatInt(c.Entries, 10))).String()
	envelope, err := json.Marshal(pattern.Envelope{
		Version: "0", ID: id, DetailType: event, Source: pattern.SourceSecurityIR, Account: d.cfg.Account, Region: d.cfg.Region,
		Time: e.At.Truncate(time.Second), Resources: []string{arn}, Detail: raw, Parry: &pattern.Cause{By: "parry/case/" + c.ID, Hops: hops},
	})
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, op, err)
	}
	eff := store.Effects{Outbox: []store.Message{{ID: "case-" + id, Topic: store.TopicEvent, Payload: envelope}}}
	if action == "" {
		return eff, nil
	}
	audit, err := json.Marshal(map[string]any{
		"status": c.Status, "closure_code": c.Closure, "severity": c.Severity, "accounts": c.Accounts, "entry": c.Entries, "event": e.Event,
	})
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, op, err)
	}
	eff.Audit = []store.AuditRecord{{At: e.At, Actor: e.By, Action: action, Object: c.ID, Detail: audit}}
	return eff, nil
}
