package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Notification is the payload of topic notify.
type Notification struct {
	Channel string    `json:"channel"`
	Rule    string    `json:"rule"`
	Event   bus.Event `json:"event"`
}

// Sender is one channel. Its errors are marked fault.Transient or
// fault.Terminal.
type Sender interface {
	// Send gives m to the receiver once and says in one line what it answered.
	Send(ctx context.Context, m Message) (answer string, err error)
}

// Findings gives the facts of a finding that an event about its remediation does
// not carry.
type Findings interface {
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
}

// Config is what the stage is made of.
type Config struct {
	Channels map[string]Sender // by the name that rules use
	Kinds    map[string]string // of the channels, for Reports
	Findings Findings          // default: severity is left out
	// Groups are the channels whose notifications are grouped; they need Log.
	Groups map[string]Grouping
	Log    Log // default: a repetition is not recognised
	Clock  service.Clock
	Logger *slog.Logger // default: discard
}

// Stage notifies.
type Stage struct {
	cfg  Config
	mu   sync.Mutex
	done map[string]Report // by channel
}

// New checks cfg.
func New(cfg Config) (*Stage, error) {
	if cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make notify stage", "clock is required")
	}
	for name, sender := range cfg.Channels {
		if name == "" || sender == nil {
			return nil, fault.Errorf(fault.Internal, "make notify stage", "channel %q is empty", name)
		}
	}
	for name, g := range cfg.Groups {
		if err := g.Validate(); err != nil || len(g.By) == 0 || cfg.Log == nil || cfg.Channels[name] == nil {
			return nil, fault.Errorf(fault.Invalid, "make notify stage", "channel %q cannot be grouped: %v", name, err)
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("component", "notify")
	return &Stage{cfg: cfg, done: map[string]Report{}}, nil
}

// Handle sends one notification, or leaves it to the message of its group. It answers
// topic notify.
func (s *Stage) Handle(ctx context.Context, payload []byte) error {
	const op = "notify"
	var n Notification
	if err := json.Unmarshal(payload, &n); err != nil || n.Event.ID == "" {
		return fault.Terminal(fault.Errorf(fault.Invalid, op, "the payload is not a notification: %v", err))
	}
	sender, err := s.channel(n.Channel)
	if err != nil {
		return err
	}
	severity, title, err := s.facts(ctx, n.Event)
	if err != nil {
		return err
	}
	m, ok, err := Render(n.Event, severity, title)
	if err != nil {
		return fault.Terminal(fault.E(fault.Invalid, op, err))
	}
	if !ok {
		return nil
	}
	m.ID = messageID(n.Event.ID, n.Channel)
	if g, grouped := s.cfg.Groups[n.Channel]; grouped && m.Kind != "" && len(m.Items) > 0 {
		return s.hold(ctx, n, m, severity, title, g.filled())
	}
	return s.alone(ctx, n, sender, m)
}

// alone sends m unless that was noted before. Between sending and noting it is sent
// again when the process dies, under the same ID.
func (s *Stage) alone(ctx context.Context, n Notification, sender Sender, m Message) error {
	if s.cfg.Log != nil {
		sent, err := s.cfg.Log.NotificationSent(ctx, m.ID)
		if err != nil {
			return fmt.Errorf("look for notification %s: %w", m.ID, err)
		}
		if sent {
			s.cfg.Logger.InfoContext(ctx, "notification was sent before", "channel", n.Channel, "event", n.Event.ID, "notification", m.ID)
			return nil
		}
	}
	if _, err := s.send(ctx, n.Channel, sender, m); err != nil {
		return fmt.Errorf("notify channel %s: %w", n.Channel, err)
	}
	s.cfg.Logger.InfoContext(ctx, "notification sent", "channel", n.Channel, "rule", n.Rule, "event", n.Event.ID, "notification", m.ID)
	if s.cfg.Log == nil {
		return nil
	}
	if err := s.cfg.Log.NoteNotification(ctx, n.Channel, m.ID); err != nil {
		// The acknowledgement that follows is enough, unless the message comes again.
		s.cfg.Logger.WarnContext(ctx, "a sent message was not noted; a repetition will not be recognised", "notification", m.ID, "error", err)
	}
	return nil
}

func (s *Stage) channel(name string) (Sender, error) {
	if sender, ok := s.cfg.Channels[name]; ok {
		return sender, nil
	}
	known := make([]string, 0, len(s.cfg.Channels))
	for k := range s.cfg.Channels {
		known = append(known, k)
	}
	slices.Sort(known)
	return nil, fault.Terminal(fault.Errorf(fault.NotFound, "notify", "there is no channel %q", Clean(name, 80)).
		WithHint("add it to channels in parry.yaml and restart; there are: %s", strings.Join(known, ", ")))
}

// facts reads severity and title of the finding that a remediation is for.
func (s *Stage) facts(ctx context.Context, e bus.Event) (severity, title string, err error) {
	change, ok, err := stateChange(e)
	if err != nil {
		return "", "", fault.Terminal(fault.E(fault.Invalid, "notify", err))
	}
	if !ok || s.cfg.Findings == nil || change.Remediation.Finding.IsZero() {
		return "", "", nil
	}
	records, err := s.cfg.Findings.Findings(ctx, []finding.ID{change.Remediation.Finding})
	if err != nil {
		return "", "", fmt.Errorf("read finding %s: %w", change.Remediation.Finding, err)
	}
	if len(records) == 0 {
		return "", "", nil
	}
	return records[0].SeverityLabel, records[0].Title, nil
}
