package eventbridge

import (
	"encoding/json"
	"slices"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/normalize"
	"github.com/parry-security/parry/internal/normalize/accessanalyzer"
	"github.com/parry-security/parry/internal/normalize/asff"
	"github.com/parry-security/parry/internal/normalize/config"
	"github.com/parry-security/parry/internal/normalize/event"
	"github.com/parry-security/parry/internal/normalize/guardduty"
	"github.com/parry-security/parry/internal/normalize/health"
	"github.com/parry-security/parry/internal/normalize/inspector"
	"github.com/parry-security/parry/internal/normalize/macie"
	"github.com/parry-security/parry/internal/pattern"
)

// MaxFindings bounds one document. AWS's events carry one finding, a custom
// action at most 20.
const MaxFindings = 100

// The kinds of a document.
const (
	KindImported   = "securityhub"
	KindCloudTrail = "cloudtrail"
	KindEvent      = "event"
	KindASFF       = "asff"
	KindOCSF       = "ocsf"
)

// Message is what one document says.
type Message struct {
	// Key is the same for every delivery of one occurrence.
	Key string
	// Kind is where it came from: "guardduty", "securityhub", "event"…
	Kind     string
	Findings []finding.Finding
	Refused  []*finding.ImportError
	// Event is the envelope, for the bus; nil when the findings say all of it.
	Event json.RawMessage
}

// Read reads a document of any kind that is known.
func Read(raw []byte) (Message, error) {
	var peek struct {
		DetailType    *string `json:"detail-type"`
		SchemaVersion string  `json:"SchemaVersion"`
		ProductArn    *string `json:"ProductArn"`
		Arn           string  `json:"arn"`
		Service       struct {
			ServiceName string `json:"serviceName"`
		} `json:"service"`
	}
	// SchemaVersion and schemaVersion are one to encoding/json; what is no
	// object is refused below with the parser's words.
	_ = json.Unmarshal(raw, &peek)
	switch {
	case peek.DetailType != nil:
	case ocsf.Is(raw):
		m := Message{Kind: KindOCSF}
		m.add(normalize.Finding{Mend: true}.Normalize(raw))
		return m, nil
	case peek.ProductArn != nil || peek.SchemaVersion == "2018-10-08":
		m := Message{Kind: KindASFF}
		m.add(asff.Normalizer{Mend: true}.Normalize(raw))
		return m, nil
	case peek.Arn != "" && peek.Service.ServiceName == "guardduty":
		return bareGuardDuty(raw)
	}
	e, err := event.Parse(raw)
	if err != nil {
		return Message{}, err
	}
	return ReadEvent(e)
}

// bareGuardDuty reads a finding as GuardDuty's API and exports have it: the
// detail of its event alone.
func bareGuardDuty(raw []byte) (Message, error) {
	var head struct{ ID, AccountID, Region string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return Message{}, fault.Errorf(fault.Invalid, "read GuardDuty finding", "%w", err)
	}
	wrapped, err := json.Marshal(map[string]any{
		"version": "0", "id": head.ID, "detail-type": guardduty.DetailType, "source": guardduty.Source, "account": head.AccountID,
		"region": head.Region, "detail": json.RawMessage(raw),
	})
	if err != nil {
		return Message{}, fault.Errorf(fault.Invalid, "read GuardDuty finding", "%w", err)
	}
	e, err := event.Parse(wrapped)
	if err != nil {
		return Message{}, err
	}
	m, err := ReadEvent(e)
	m.Event = nil // there was none
	return m, err
}

// ReadEvent gives what an event says. An event that is no finding, such as
// CloudTrail's, is for the bus alone.
func ReadEvent(e event.Event) (Message, error) {
	m := Message{Key: e.Key(), Kind: KindEvent, Event: e.Raw}
	switch {
	case e.Source == pattern.SourceSecurityHub:
		return m, m.securityHub(e)
	case e.Source == guardduty.Source && e.DetailType == guardduty.DetailType:
		return m, m.one("guardduty", e, guardduty.Finding)
	case e.Source == inspector.Source && e.DetailType == inspector.DetailType:
		return m, m.one("inspector", e, inspector.Finding)
	case e.Source == config.Source && e.DetailType == config.DetailType:
		return m, m.one("config", e, config.Finding)
	case e.Source == macie.Source && e.DetailType == macie.DetailType:
		return m, m.one("macie", e, macie.Finding)
	case e.Source == accessanalyzer.Source && slices.Contains(accessanalyzer.DetailTypes(), e.DetailType):
		return m, m.one("access-analyzer", e, accessanalyzer.Finding)
	case e.Source == health.Source && (e.DetailType == health.DetailType || e.DetailType == health.AbuseType):
		return m, m.one("health", e, health.Finding)
	case isCloudTrail(e.DetailType):
		// CloudTrail names its record itself, and EventBridge may carry a global
		// service's record to several regions under different ids.
		m.Kind = KindCloudTrail
		if id := e.Detail.Text("eventID"); id != "" {
			m.Key = "cloudtrail/" + event.Cut(id, 128)
		}
	}
	return m, nil
}

func isCloudTrail(detailType string) bool {
	switch detailType {
	case "AWS API Call via CloudTrail", "AWS Console Sign In via CloudTrail", "AWS Service Event via CloudTrail", "AWS Console Action via CloudTrail", "AWS Insight via CloudTrail":
		return true
	}
	return false
}

// one adds the finding of an event of a detector.
func (m *Message) one(kind string, e event.Event, read func(event.Event) (map[string]any, error)) error {
	m.Kind = kind
	doc, err := read(e)
	if err != nil || doc == nil {
		return err
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return fault.Errorf(fault.Invalid, "write finding", "%w", err)
	}
	if len(raw) > finding.MaxBytes {
		// As Security Hub does with its own: the finding matters more than what is
		// known of its resources.
		resources, _ := doc["Resources"].([]any)
		for _, r := range resources {
			if r, ok := r.(map[string]any); ok {
				delete(r, "Details")
				delete(r, "DataClassification")
			}
		}
		delete(doc, "Vulnerabilities")
		if raw, err = json.Marshal(doc); err != nil {
			return fault.Errorf(fault.Invalid, "write finding", "%w", err)
		}
	}
	m.add(asff.Normalizer{Mend: true}.Normalize(raw))
	return nil
}

// securityHub adds the findings of Security Hub's own events.
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html
func (m *Message) securityHub(e event.Event) error {
	m.Kind = KindImported
	if e.DetailType == pattern.FindingsImported || e.DetailType == pattern.FindingsImportedV2 {
		// What Parry stores is announced by Parry itself, after its own rules.
		m.Event = nil
	}
	list, ok := e.Detail["findings"].([]any)
	if !ok {
		if e.DetailType == pattern.FindingsImported {
			return fault.Errorf(fault.Invalid, "read event", "the event has no findings")
		}
		return nil
	}
	if len(list) > MaxFindings {
		return fault.Errorf(fault.Invalid, "read event", "%d findings are more than the limit of %d", len(list), MaxFindings)
	}
	for _, f := range list {
		raw, err := json.Marshal(f)
		if err != nil {
			return fault.Errorf(fault.Invalid, "read event", "%w", err)
		}
		m.add(normalize.Finding{Mend: true}.Normalize(raw)) // OCSF in "Findings Imported V2"
	}
	return nil
}

func (m *Message) add(f finding.Finding, refused *finding.ImportError) {
	if refused != nil {
		m.Refused = append(m.Refused, refused)
		return
	}
	m.Findings = append(m.Findings, f)
}
