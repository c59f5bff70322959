package store

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/remediation"
)

// Announce gives the effects of a remediation's change of state: the event on
// the bus and the audit record. It is a function of its input, so a repeated
// transition announces itself under the same message id.
func Announce(change remediation.StateChange, actor string, at time.Time) (Effects, error) {
	r := change.Remediation
	detail, err := json.Marshal(change)
	if err != nil {
		return Effects{}, fmt.Errorf("announce remediation %s: %w", r.ID, err)
	}
	id := fmt.Sprintf("evt-%s-%d-%s", r.ID, r.Version, change.To)
	envelope, err := json.Marshal(pattern.Envelope{
		Version: "0", ID: id, DetailType: pattern.RemediationChanged, Source: pattern.SourceParry,
		Account: r.Account, Region: r.Region, Time: at.UTC().Truncate(time.Second),
		Resources: []string{r.Resource}, Detail: detail,
	})
	if err != nil {
		return Effects{}, fmt.Errorf("announce remediation %s: %w", r.ID, err)
	}
	audit, err := json.Marshal(map[string]any{
		"from": change.From, "to": change.To, "plan_hash": r.PlanHash, "reason": r.Reason,
		"account": r.Account, "region": r.Region, "resource": r.Resource, "approval": change.ApprovalID, "changes": change.Changes,
	})
	if err != nil {
		return Effects{}, fmt.Errorf("audit remediation %s: %w", r.ID, err)
	}
	return Effects{
		Outbox: []Message{{ID: id, Topic: TopicEvent, Payload: envelope}},
		Ends:   ends(change, at),
		Audit:  []AuditRecord{{At: at.UTC(), Actor: actor, Action: "remediation." + string(change.To), Object: string(r.ID), Detail: audit}},
	}, nil
}

// AnnounceQuestion gives the effects of a step's question to people: the event on the
// bus and the audit record.
func AnnounceQuestion(a remediation.Approval, r remediation.Remediation, actor string, at time.Time) (Effects, error) {
	detail, err := json.Marshal(remediation.Question{
		Approval: a.ID, Remediation: r.ID, Document: r.Runbook, Execution: a.Execution, Step: a.Step, Approvers: a.Approvers, Quorum: a.Quorum, Message: a.Message,
	})
	if err != nil {
		return Effects{}, fmt.Errorf("announce approval %s: %w", a.ID, err)
	}
	id := "evt-" + a.ID
	envelope, err := json.Marshal(pattern.Envelope{
		Version: "0", ID: id, DetailType: pattern.ApprovalAsked, Source: pattern.SourceParry, Account: r.Account, Region: r.Region,
		Time: at.UTC().Truncate(time.Second), Resources: []string{r.Resource}, Detail: detail, Parry: &pattern.Cause{By: "parry/remediation/" + string(r.ID)},
	})
	if err != nil {
		return Effects{}, fmt.Errorf("announce approval %s: %w", a.ID, err)
	}
	audit, err := json.Marshal(map[string]any{"execution": a.Execution, "step": a.Step, "approvers": a.Approvers, "quorum": a.Quorum})
	if err != nil {
		return Effects{}, fmt.Errorf("audit approval %s: %w", a.ID, err)
	}
	return Effects{
		Outbox: []Message{{ID: id, Topic: TopicEvent, Payload: envelope}},
		Audit:  []AuditRecord{{At: at.UTC(), Actor: actor, Action: "approval.asked", Object: a.ID, Detail: audit}},
	}, nil
}

// ends says which execution a remediation's change of state ends: one that never
// began, or whose end nobody could write, is told here why.
func ends(c remediation.StateChange, at time.Time) []ExecutionEnd {
	r := c.Remediation
	if r.Execution == "" {
		return nil
	}
	end := ExecutionEnd{ID: r.Execution, At: at, Failure: r.Reason + "; see: parry remediation show " + string(r.ID)}
	switch c.To {
	case remediation.Failed, remediation.Superseded:
		end.Status = "Failed"
	case remediation.Cancelled, remediation.Rejected, remediation.Expired:
		end.Status = "Cancelled"
	default:
		return nil
	}
	return []ExecutionEnd{end}
}

// maxBundle bounds the events that travel in one message.
const maxBundle = 200

// Bundle puts many events into few messages, whose payloads are lists of envelopes:
// handing over costs by the message. Its id is a function of what it holds, so the
// same events in the same order are one message. Messages of other topics stay as
// they are.
func Bundle(events []Message) []Message {
	if len(events) < 2 {
		return events
	}
	var out, open []Message
	size := 0
	closeOne := func() {
		switch len(open) {
		case 0:
		case 1:
			out = append(out, open[0])
		default:
			out = append(out, bundled(open, size))
		}
		open, size = nil, 0
	}
	for _, m := range events {
		if m.Topic != TopicEvent || !m.NotBefore.IsZero() {
			out = append(out, m)
			continue
		}
		if len(open) == maxBundle || size+len(m.Payload)+len(open)+2 > maxPayload {
			closeOne()
		}
		open, size = append(open, m), size+len(m.Payload)
	}
	closeOne()
	return out
}

func bundled(events []Message, size int) Message {
	ids := sha256.New()
	payload := make([]byte, 0, size+len(events)+1)
	for i, m := range events {
		_, _ = fmt.Fprintf(ids, "%d:%s", len(m.ID), m.ID) // a hash takes all
		payload = append(payload, "[,"[min(i, 1)])
		payload = append(payload, m.Payload...)
	}
	return Message{ID: fmt.Sprintf("evts-%x", ids.Sum(nil)[:16]), Topic: TopicEvent, Payload: append(payload, ']')}
}

// Hand adds a job for the next stage to e: its id is the topic and key, so the
// same hand-over twice is one job.
func (e Effects) Hand(topic, key string, payload any) (Effects, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return Effects{}, fmt.Errorf("hand %s to %s: %w", key, topic, err)
	}
	e.Outbox = append(e.Outbox, Message{ID: topic + "-" + key, Topic: topic, Payload: raw})
	return e, nil
}
