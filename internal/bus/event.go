package bus

import "github.com/parry-security/parry/internal/pattern"

// Event is what the bus carries: an EventBridge envelope.
type Event = pattern.Envelope

// The sources and detail types, under the names that users of the bus read.
const (
	SourceSecurityHub  = pattern.SourceSecurityHub
	FindingsImported   = pattern.FindingsImported
	SourceParry        = pattern.SourceParry
	RemediationChanged = pattern.RemediationChanged
)
