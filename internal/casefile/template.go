package casefile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// DefaultTemplate is the name of the template that is always there.
const DefaultTemplate = "new"

// Attribute is by what events belong to one case.
type Attribute string

// The attributes. Where an event tells no actor its resource counts, where it has no
// resource its type.
const (
	ByAccount  Attribute = "account"
	ByResource Attribute = "resource" // the first one
	ByType     Attribute = "type"     // the first type of a finding, else the detail-type
	ByActor    Attribute = "actor"    // who acted: the principal, else the remote address
)

// Attributes lists them.
func Attributes() []Attribute { return []Attribute{ByAccount, ByResource, ByType, ByActor} }

// Template says which cases a rule opens, and which events belong together.
type Template struct {
	Name string
	// Title stands before that of the event. Default: none.
	Title string
	// Severity of the cases. Default: the highest of their events.
	Severity finding.Label
	// Engagement is the type of engagement. Default: Incident.
	Engagement Engagement
	// GroupBy is what events of one case have in common. Default: account and resource.
	GroupBy []Attribute
	// Window is how long after its last event an open case takes another. Default: as
	// long as it is open.
	Window time.Duration
	// Replays says that replayed events open cases too.
	Replays bool
}

var templateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// maxWindow is a year.
const maxWindow = 365 * 24 * time.Hour

// Default is the template that is always there.
func Default() Template { return Template{Name: DefaultTemplate}.Filled() }

// Filled gives t with its defaults.
func (t Template) Filled() Template {
	if t.Engagement == "" {
		t.Engagement = Incident
	}
	if len(t.GroupBy) == 0 {
		t.GroupBy = []Attribute{ByAccount, ByResource}
	}
	return t
}

// Validate checks a template with its defaults.
func (t Template) Validate() error {
	const op = "check case template"
	switch {
	case !templateName.MatchString(t.Name):
		return fault.Errorf(fault.Invalid, op, "the name %q is not 1 to 64 letters, digits, dashes and underscores", t.Name)
	case t.Title != Plain(t.Title, maxTemplateTitle):
		return fault.Errorf(fault.Invalid, op, "title has more than %d characters, or control characters", maxTemplateTitle)
	case t.Severity != "" && !t.Severity.Valid():
		return fault.Errorf(fault.Invalid, op, "severity %q is none of INFORMATIONAL, LOW, MEDIUM, HIGH and CRITICAL", t.Severity)
	case !slices.Contains(Engagements(), t.Engagement):
		return fault.Errorf(fault.Invalid, op, "engagement_type %q is not %s or %s", t.Engagement, Incident, Investigation)
	case t.Window < 0 || t.Window > maxWindow:
		return fault.Errorf(fault.Invalid, op, "window %s is outside 0 to %s", t.Window, maxWindow)
	case len(t.GroupBy) > len(Attributes()):
		return fault.Errorf(fault.Invalid, op, "group_by has %d entries", len(t.GroupBy))
	}
	for i, a := range t.GroupBy {
		if !slices.Contains(Attributes(), a) || slices.Contains(t.GroupBy[:i], a) {
			return fault.Errorf(fault.Invalid, op, "group_by has %q, which is none of account, resource, type and actor, or stands there twice", a)
		}
	}
	return nil
}

// maxTemplateTitle leaves most of a title to the event.
const maxTemplateTitle = 100

// Group names the group of cases to which a report belongs. Its parts are the event's
// own text, so it is a digest of them.
func (t Template) Group(r Report) string {
	h := sha256.New()
	add := func(s string) { _, _ = fmt.Fprintf(h, "%d:%s,", len(s), s) } // a hash never fails
	add(t.Name)
	add(strconv.FormatBool(r.Account != "")) // who may see the one may not see the other
	for _, a := range t.GroupBy {
		add(string(a))
		add(r.attribute(a))
	}
	return hex.EncodeToString(h.Sum(nil))
}
