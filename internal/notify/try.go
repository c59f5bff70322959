package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// maxAnswer bounds what is kept of a receiver's answer and of a problem, in characters.
const maxAnswer = 500

// Trial is the outcome of a test message.
type Trial struct {
	Notification string // the message's ID
	Subject      string
	Answer       string // what the receiver said, when it took the message
	// Problem says why it did not take it, Hint what to do.
	Problem, Hint string
}

// TestEvents lists what a test message can be about.
func TestEvents() []string { return []string{"queued", "succeeded", "failed", "approval", "group"} }

// Test sends a message that says it is a test, about a made-up remediation, and says
// what the receiver answered. A receiver that does not take it is no error; a channel
// or event that does not exist is one. It does not try twice.
func (s *Stage) Test(ctx context.Context, channel, event, by string) (Trial, error) {
	sender, err := s.channel(channel)
	if err != nil {
		return Trial{}, err
	}
	m, err := sample(channel, event, by, s.cfg.Clock.Now())
	if err != nil {
		return Trial{}, err
	}
	out := Trial{Notification: m.ID, Subject: m.Subject}
	out.Answer, err = s.send(ctx, channel, sender, m)
	if err != nil {
		out.Problem, out.Hint = Clean(err.Error(), maxAnswer), fault.HintOf(err)
		s.cfg.Logger.WarnContext(ctx, "test message not delivered", "channel", channel, "by", by, "notification", m.ID, "error", err)
		return out, nil
	}
	s.cfg.Logger.InfoContext(ctx, "test message delivered", "channel", channel, "by", by, "notification", m.ID)
	return out, nil
}

// sample makes a message about a remediation that does not exist. Its event is of a type
// of its own, so that no program takes it for something that happened.
func sample(channel, event, by string, now time.Time) (Message, error) {
	id := messageID("test "+event+now.Format(time.RFC3339Nano), channel)
	if event == "group" {
		m, err := sampleGroup(now)
		if err != nil {
			return m, err
		}
		return asTest(m, id, channel, by, now), nil
	}
	c := remediation.StateChange{
		Remediation: remediation.Remediation{
			ID: remediation.ID("rem-test-" + id[4:16]), Kind: remediation.KindFix, Control: "S3.8", Playbook: "S3.8", Account: "111122223333",
			Region: "us-east-1", Resource: "arn:aws:s3:::parry-test-bucket",
		},
		Changes: 1, Title: "S3 general purpose buckets should block public access",
	}
	switch event {
	case "queued":
		c.To, c.Remediation.Reason = remediation.Queued, "approved by the policy test"
	case "succeeded":
		c.To, c.Remediation.Reason = remediation.Verified, "read back from AWS: all checks pass"
	case "failed":
		c.To, c.Remediation.Reason = remediation.Failed, "AccessDenied on s3:PutBucketPublicAccessBlock; nothing had been changed"
	case "approval":
		c.To, c.Remediation.Reason, c.ApprovalID = remediation.AwaitingApproval, "policy test asks for 1 approval(s)", "apr-test"
	default:
		return Message{}, fault.Errorf(fault.Invalid, "test channel", "there is no test event %q", Clean(event, 40)).
			WithHint("choose one of: %s", strings.Join(TestEvents(), ", "))
	}
	c.Remediation.State = c.To
	m, _ := renderChange(c, "HIGH", c.Title)
	detail, err := json.Marshal(c)
	if err != nil {
		return Message{}, fmt.Errorf("encode test event: %w", err)
	}
	m.Event = bus.Event{
		Version: "0", Source: bus.SourceParry, Account: c.Remediation.Account, Region: c.Remediation.Region, Resources: []string{}, Detail: detail,
	}
	return asTest(m, id, channel, by, now), nil
}

// sampleGroup is a message about several remediations that wait for approval.
func sampleGroup(now time.Time) (Message, error) {
	a := about{Kind: "remediation", Status: "awaiting approval", Labels: []Fact{{"playbook", "S3.8"}, {"account", "111122223333"}}}
	var items []Item
	for n := 1; n <= 5; n++ {
		items = append(items, Item{
			Severity: "HIGH", Control: "S3.8", Playbook: "S3.8", Account: "111122223333", Region: "us-east-1", Resource: fmt.Sprintf("arn:aws:s3:::parry-test-bucket-%d", n),
			ID: fmt.Sprintf("rem-test-%d", n), Approval: fmt.Sprintf("apr-test-%d", n),
		})
	}
	return a.message(store.GroupDue{Group: "test", Message: now.UnixMicro()}, items, int64(len(items)))
}

// asTest marks m as a test.
func asTest(m Message, id, channel, by string, now time.Time) Message {
	m.ID, m.At, m.Test = id, now, true
	m.Subject = Clean("[TEST] "+m.Subject, maxSubject)
	m.Content.Notice = fmt.Sprintf("This is a test of channel %s, asked for by %s. What follows is made up: nothing happened, and there is nothing to do.", Clean(channel, 80), Clean(by, 100))
	m.Body = m.Content.Notice + "\n\n" + m.Body
	m.Event.ID, m.Event.Time, m.Event.DetailType = id, now, "Parry Channel Test"
	return m
}

// Report is what a channel did on this node since it started.
type Report struct {
	Name, Kind   string
	Sent, Failed int64
	SentAt       time.Time // of the last that was taken; zero is none
	Answer       string    // to it
	FailedAt     time.Time // of the last try that failed; zero is none
	Problem      string    // of that try
	// Grouping is how its messages are grouped; By is empty where each is sent by itself.
	Grouping Grouping
}

// Reports gives the channels by name.
func (s *Stage) Reports() []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Report, 0, len(s.cfg.Channels))
	for name := range s.cfg.Channels {
		r := s.done[name]
		r.Name, r.Kind = name, s.cfg.Kinds[name]
		if g, grouped := s.cfg.Groups[name]; grouped {
			r.Grouping = g.filled()
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Report) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// send gives m to sender and keeps what came of it.
func (s *Stage) send(ctx context.Context, channel string, sender Sender, m Message) (string, error) {
	answer, err := sender.Send(ctx, m)
	answer = Clean(answer, maxAnswer)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.done[channel]
	if err != nil {
		r.Failed++
		r.FailedAt, r.Problem = s.cfg.Clock.Now(), Clean(err.Error(), maxAnswer)
	} else {
		r.Sent++
		r.SentAt, r.Answer = s.cfg.Clock.Now(), answer
	}
	s.done[channel] = r
	return answer, err
}
