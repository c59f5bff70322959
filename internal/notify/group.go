package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

// The defaults and limits of a Grouping.
const (
	DefaultInterval = time.Minute
	DefaultMax      = 50
	MaxWait         = time.Hour
	MaxInterval     = 24 * time.Hour
	MaxItems        = 200
)

// Grouping makes one message of many notifications. The first of a group is sent after
// Wait, what comes later together when Interval has passed since the message before.
type Grouping struct {
	// By are the labels that the notifications of a message share; kind and status are
	// always among them.
	By       []string
	Wait     time.Duration // default: the first is sent at once
	Interval time.Duration // default: DefaultInterval
	// Max bounds what a message lists; default: DefaultMax. More are counted, or listed
	// by further messages where none may be missed.
	Max int
}

// Labels lists what notifications can be grouped by.
func Labels() []string {
	return []string{"kind", "rule", "playbook", "control", "account", "region", "severity"}
}

// Validate reports what of g cannot be.
func (g Grouping) Validate() error {
	if len(g.By) == 0 {
		if g.Wait != 0 || g.Interval != 0 || g.Max != 0 {
			return errors.New("group_wait, group_interval and max_per_message need group_by")
		}
		return nil
	}
	seen := map[string]bool{}
	for _, label := range g.By {
		if !slices.Contains(Labels(), label) {
			return fmt.Errorf("group_by: %q is not one of %s", Clean(label, 40), strings.Join(Labels(), ", "))
		}
		if seen[label] {
			return fmt.Errorf("group_by: %s is there twice", label)
		}
		seen[label] = true
	}
	switch {
	case g.Wait < 0 || g.Wait > MaxWait:
		return fmt.Errorf("group_wait %s is not between 0s and %s", g.Wait, MaxWait)
	case g.Interval < 0 || g.Interval > MaxInterval:
		return fmt.Errorf("group_interval %s is not between 0s and %s", g.Interval, MaxInterval)
	case g.Max < 0 || g.Max > MaxItems:
		return fmt.Errorf("max_per_message %d is not between 1 and %d", g.Max, MaxItems)
	}
	return nil
}

func (g Grouping) filled() Grouping {
	if g.Interval == 0 {
		g.Interval = DefaultInterval
	}
	if g.Max == 0 {
		g.Max = DefaultMax
	}
	return g
}

// Log remembers what was sent, and holds what waits for its group.
type Log interface {
	NotificationSent(ctx context.Context, id string) (bool, error)
	NoteNotification(ctx context.Context, channel, id string) error
	HoldNotification(ctx context.Context, n store.HeldNotification, wait, interval time.Duration, about json.RawMessage) error
	TakeGroup(ctx context.Context, d store.GroupDue, most int, whole bool) (store.GroupMessage, error)
	GroupSent(ctx context.Context, d store.GroupDue) error
}

// Bounded is a Sender whose messages hold few items.
type Bounded interface {
	// MaxItems is how many rows of a table fit into one message.
	MaxItems() int
}

// about is what the notifications of a group have in common.
type about struct {
	Kind   string `json:"kind"`
	Status string `json:"status"`
	Labels []Fact `json:"labels"` // in the order of Labels, without kind
}

// aboutOf gives what m has in common with its group. A label that differs among the
// items of m is empty: they come together, and stay so.
func aboutOf(m Message, rule string, by []string) about {
	out := about{Kind: m.Kind, Status: m.Status}
	for _, label := range Labels() {
		if label == "kind" || !slices.Contains(by, label) {
			continue
		}
		value := Clean(rule, 100)
		for i, item := range m.Items {
			if label == "rule" {
				break
			}
			v := item.label(label)
			if i > 0 && v != value {
				v = ""
			}
			value = v
		}
		out.Labels = append(out.Labels, Fact{label, value})
	}
	return out
}

func (i Item) label(name string) string {
	switch name {
	case "playbook":
		return i.Playbook
	case "control":
		return i.Control
	case "account":
		return i.Account
	case "region":
		return i.Region
	case "severity":
		return i.Severity
	}
	return ""
}

// value gives a label, "" when notifications are not grouped by it.
func (a about) value(name string) string {
	for _, f := range a.Labels {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// key names the group within its channel.
func (a about) key() (string, []byte, error) {
	raw, err := json.Marshal(a)
	if err != nil {
		return "", nil, fmt.Errorf("encode group: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), raw, nil
}

// heldDoc is what is kept of a notification until its group is sent: with the facts of
// the moment, so that every try tells the same.
type heldDoc struct {
	Notification Notification `json:"notification"`
	Severity     string       `json:"severity,omitempty"`
	Title        string       `json:"title,omitempty"`
}

// hold leaves m to the next message of its group.
func (s *Stage) hold(ctx context.Context, n Notification, m Message, severity, title string, g Grouping) error {
	key, raw, err := aboutOf(m, n.Rule, g.By).key()
	if err != nil {
		return err
	}
	doc, err := json.Marshal(heldDoc{n, severity, title})
	if err != nil {
		return fmt.Errorf("encode notification: %w", err)
	}
	rank := 0
	for _, item := range m.Items {
		rank = max(rank, finding.Label(item.Severity).Normalized())
	}
	held := store.HeldNotification{ID: m.ID, Channel: n.Channel, Group: key, Rank: int64(rank), Items: int64(len(m.Items)), Doc: doc}
	if err := s.cfg.Log.HoldNotification(ctx, held, g.Wait, g.Interval, raw); err != nil {
		return fmt.Errorf("hold notification %s: %w", m.ID, err)
	}
	return nil
}

// HandleGroup sends one message of a group. It answers topic notify_group.
func (s *Stage) HandleGroup(ctx context.Context, payload []byte) error {
	const op = "notify group"
	var d store.GroupDue
	var a about
	if err := errors.Join(json.Unmarshal(payload, &d), json.Unmarshal(orNull(d.About), &a)); err != nil || d.Group == "" {
		return fault.Terminal(fault.Errorf(fault.Invalid, op, "the payload is not a group's: %v", err))
	}
	sender, err := s.channel(d.Channel)
	if err != nil {
		return err
	}
	most := s.cfg.Groups[d.Channel].filled().Max
	if b, ok := sender.(Bounded); ok {
		most = min(most, b.MaxItems())
	}
	took, err := s.cfg.Log.TakeGroup(ctx, d, most, whole(a.Status))
	if err != nil {
		return fmt.Errorf("read group %s: %w", d.Group, err)
	}
	if took.Sent || len(took.First) == 0 {
		s.cfg.Logger.InfoContext(ctx, "group has nothing to send", "channel", d.Channel, "group", d.Group, "message", d.Message, "sent", took.Sent)
		return nil
	}
	m, err := groupMessage(d, a, took, most)
	if err != nil {
		return fault.Terminal(fault.E(fault.Internal, op, err))
	}
	if _, err := s.send(ctx, d.Channel, sender, m); err != nil {
		return fmt.Errorf("notify channel %s: %w", d.Channel, err)
	}
	s.cfg.Logger.InfoContext(ctx, "notifications sent", "channel", d.Channel, "group", d.Group, "count", took.Notifications, "notification", m.ID)
	if err := s.cfg.Log.GroupSent(ctx, d); err != nil {
		// The acknowledgement that follows is enough, unless the message comes again.
		s.cfg.Logger.WarnContext(ctx, "a sent message was not noted; a repetition will not be recognised", "notification", m.ID, "error", err)
	}
	return nil
}

// orNull gives JSON for what may be missing.
func orNull(raw json.RawMessage) []byte {
	if len(raw) == 0 {
		return []byte("null")
	}
	return raw
}
