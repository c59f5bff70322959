package bus

import (
	"encoding/json"
	"time"
)

// Event is an EventBridge envelope (spec/eventbus.md section 2).
type Event struct {
	Version    string          `json:"version"` // always "0"
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       time.Time       `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// The detail types that Parry itself puts on the bus, beside AWS's own.
const (
	SourceSecurityHub  = "aws.securityhub"
	FindingsImported   = "Security Hub Findings - Imported"
	SourceParry        = "parry"
	RemediationChanged = "Parry Remediation State Change" // detail: RemediationDetail
)
