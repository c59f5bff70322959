package casefile

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

// The limits. Texts are in characters; those of title, description, note (a comment),
// accounts and Regions are AWS's.
const (
	MaxTitle       = 300
	MaxDescription = 8000
	MaxNote        = 12_000
	MaxReason      = 2000

	MaxAccounts     = 200
	MaxRegions      = 50
	MaxResources    = 500 // what comes beyond is in the timeline alone
	MaxFindings     = 500
	MaxRemediations = 500

	// MaxEvents is how many events a case takes; another case goes on from there.
	MaxEvents = 5000
	// MaxEntries bounds a timeline: people can write when no more events are taken.
	MaxEntries = 10_000
)

// Engagement is what a case is about, in AWS's words.
type Engagement string

// The types of engagement.
const (
	Incident      Engagement = "Security Incident"
	Investigation Engagement = "Investigation"
)

// Engagements lists them.
func Engagements() []Engagement { return []Engagement{Incident, Investigation} }

// Case is one case.
type Case struct {
	ID          string        `json:"id"` // ten digits
	Title       string        `json:"title"`
	Description string        `json:"description"`
	Engagement  Engagement    `json:"engagement_type"`
	Status      Status        `json:"status"`
	Severity    finding.Label `json:"severity"`
	// Accounts decide who sees the case: whoever has all of them.
	Accounts     []string         `json:"impacted_accounts,omitempty"`
	Regions      []string         `json:"impacted_regions,omitempty"`
	Resources    []string         `json:"resources,omitempty"`
	Findings     []finding.ID     `json:"findings,omitempty"`
	Remediations []remediation.ID `json:"remediations,omitempty"`
	// ReportedAt is when what the case is about was first told of.
	ReportedAt time.Time   `json:"reported_at"`
	CreatedAt  time.Time   `json:"created_at"`
	CreatedBy  string      `json:"created_by"` // a person, or rule/NAME
	UpdatedAt  time.Time   `json:"updated_at"`
	ClosedAt   time.Time   `json:"closed_at,omitzero"`
	ClosedBy   string      `json:"closed_by,omitempty"`
	Closure    ClosureCode `json:"closure_code,omitempty"`
	// Template is by which events opened it, "" for people.
	Template string `json:"template,omitempty"`
	// Follows is the case that this one goes on from, since it was full.
	Follows string `json:"follows,omitempty"`
	// Entries are how many the timeline has, Events how many of them are events.
	Entries int64 `json:"entries"`
	Events  int64 `json:"events"`
	// Rev counts the writes; 1 is the first.
	Rev int64 `json:"-"`
}

var (
	caseID    = regexp.MustCompile(`^[0-9]{10}$`)
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	regionID  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}$`)
)

// Number makes the id of a case of a random text.
func Number(random string) string {
	sum := sha256.Sum256([]byte(random))
	return fmt.Sprintf("%d", 1_000_000_000+binary.BigEndian.Uint64(sum[:])%9_000_000_000)
}

// ValidID reports whether id is one of a case.
func ValidID(id string) bool { return caseID.MatchString(id) }

// ARN is a case's, in AWS's form.
func ARN(partition, region, account, id string) string {
	return "arn:" + partition + ":security-ir:" + region + ":" + account + ":case/" + id
}

// Validate checks a case.
func (c Case) Validate() error {
	const op = "check case"
	if err := CheckText("title", c.Title, MaxTitle); err != nil {
		return err
	}
	if err := CheckText("description", c.Description, MaxDescription); err != nil {
		return err
	}
	switch {
	case !ValidID(c.ID):
		return fault.Errorf(fault.Invalid, op, "%q is no id of a case", c.ID)
	case !slices.Contains(Engagements(), c.Engagement):
		return fault.Errorf(fault.Invalid, op, "engagement type %q is not %s or %s", c.Engagement, Incident, Investigation)
	case !c.Status.Valid():
		return fault.Errorf(fault.Invalid, op, "there is no status %q", c.Status)
	case !c.Severity.Valid():
		return fault.Errorf(fault.Invalid, op, "severity %q is none of Security Hub's labels", c.Severity).
			WithHint("they are INFORMATIONAL, LOW, MEDIUM, HIGH and CRITICAL")
	case (c.Status == Closed) != (c.Closure != "") || c.Closure != "" && !c.Closure.Valid():
		return fault.Errorf(fault.Invalid, op, "a case has a closure code when it is closed, and only then")
	}
	for _, l := range []struct {
		name    string
		n, most int
	}{
		{"accounts", len(c.Accounts), MaxAccounts},
		{"Regions", len(c.Regions), MaxRegions},
		{"resources", len(c.Resources), MaxResources},
		{"findings", len(c.Findings), MaxFindings},
		{"remediations", len(c.Remediations), MaxRemediations},
	} {
		if l.n > l.most {
			return fault.Errorf(fault.Invalid, op, "%d %s are more than %d", l.n, l.name, l.most)
		}
	}
	for _, a := range c.Accounts {
		if !accountID.MatchString(a) {
			return fault.Errorf(fault.Invalid, op, "%q is no account id", a).WithHint("account ids have 12 digits")
		}
	}
	for _, r := range c.Regions {
		if !regionID.MatchString(r) {
			return fault.Errorf(fault.Invalid, op, "%q is no Region", r)
		}
	}
	for _, r := range c.Resources {
		if err := CheckText("a resource", r, maxResource); err != nil {
			return err
		}
	}
	return nil
}

// CheckText refuses a text that is missing, too long, or would steer a terminal. Line
// breaks and tabs may stand in it.
func CheckText(name, text string, limit int) error {
	const op = "check case"
	switch {
	case strings.TrimSpace(text) == "":
		return fault.Errorf(fault.Invalid, op, "%s is missing", name)
	case utf8.RuneCountInString(text) > limit:
		return fault.Errorf(fault.Invalid, op, "%s has more than %d characters", name, limit)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }):
		return fault.Errorf(fault.Invalid, op, "%s holds a control character", name)
	}
	return nil
}

// Plain makes a text of others fit: on one line, without characters that steer how it is
// shown, and of at most limit characters.
func Plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// merge adds what is new of more, up to a limit.
func merge[T comparable](have, more []T, most int) []T {
	out := slices.Clone(have)
	for _, v := range more {
		if len(out) >= most {
			break
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
