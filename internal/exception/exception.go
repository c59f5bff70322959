package exception

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
)

// The limits of the texts, in characters.
const (
	MaxTitle  = 200
	MaxOwner  = 200
	MaxReason = 2000
	MaxLink   = 500
)

// AllAccounts is what Accounts gives for a scope that accounts do not bound.
const AllAccounts = "*"

// Exception is one accepted risk.
type Exception struct {
	ID    string `json:"id"`
	State State  `json:"state"`
	Title string `json:"title"`
	// Owner is the person or team that answers for the risk.
	Owner  string `json:"owner"`
	Reason string `json:"reason"`
	Link   string `json:"link,omitempty"`
	// Scope selects the findings, in Security Hub's form.
	Scope filter.Filter `json:"scope"`
	// ExpiresAt is when it ends at the latest.
	ExpiresAt   time.Time `json:"expires_at"`
	RequestedBy string    `json:"requested_by"`
	CreatedAt   time.Time `json:"created_at"`
	// DecidedBy approved or rejected it; an approved one is in force from DecidedAt.
	DecidedBy string    `json:"decided_by,omitempty"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	Decision  string    `json:"decision,omitempty"`
	EndedBy   string    `json:"ended_by,omitempty"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	End       End       `json:"end,omitempty"`
	EndNote   string    `json:"end_note,omitempty"`
}

// Validate checks what a person asks for. Longest is how far ahead it may expire.
func (e Exception) Validate(now time.Time, longest time.Duration) error {
	const op = "check exception"
	for _, t := range []struct {
		name, value string
		limit       int
		required    bool
	}{{"title", e.Title, MaxTitle, true}, {"owner", e.Owner, MaxOwner, true}, {"reason", e.Reason, MaxReason, true}, {"link", e.Link, MaxLink, false}} {
		if err := CheckText(t.name, t.value, t.limit, t.required); err != nil {
			return err
		}
	}
	switch {
	case e.ExpiresAt.IsZero():
		return fault.Errorf(fault.Invalid, op, "expires_at is missing").WithHint("every exception ends: --until or --days says when")
	case !e.ExpiresAt.After(now):
		return fault.Errorf(fault.Invalid, op, "expires_at %s has passed", e.ExpiresAt.UTC().Format(time.RFC3339))
	case e.ExpiresAt.After(now.Add(longest)):
		return fault.Errorf(fault.Invalid, op, "expires_at %s is more than %d days ahead", e.ExpiresAt.UTC().Format(time.RFC3339), int(longest.Hours()/24)).
			WithHint("ask for a shorter time, or raise exceptions.max_days in parry.yaml")
	}
	return CheckScope(e.Scope)
}

// CheckText refuses a text that is too long or that would steer a terminal.
func CheckText(name, text string, limit int, required bool) error {
	const op = "check exception"
	switch {
	case required && strings.TrimSpace(text) == "":
		return fault.Errorf(fault.Invalid, op, "%s is missing", name)
	case utf8.RuneCountInString(text) > limit:
		return fault.Errorf(fault.Invalid, op, "%s has more than %d characters", name, limit)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return fault.Errorf(fault.Invalid, op, "%s holds a control character", name)
	}
	return nil
}

// CheckScope refuses a scope that selects everything, or that asks for what an
// exception itself decides.
func CheckScope(f filter.Filter) error {
	const op = "check the scope of an exception"
	if len(f.Criteria) == 0 {
		return fault.Errorf(fault.Invalid, op, "the scope is empty, so it would suppress every finding").WithHint("name at least one field, such as ComplianceSecurityControlId")
	}
	for _, c := range f.Criteria {
		if c.Field.Name == "WorkflowStatus" {
			return fault.Errorf(fault.Invalid, op, "the scope asks for WorkflowStatus, which the exception itself sets").WithHint("leave it out: only open findings are suppressed")
		}
	}
	return nil
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// Accounts gives the accounts that the scope can reach: those that it names, or
// AllAccounts alone.
func (e Exception) Accounts() []string { return AccountsOf(e.Scope) }

// AccountsOf gives the accounts that a scope can reach.
func AccountsOf(f filter.Filter) []string {
	c, ok := f.Criterion("AwsAccountId")
	if !ok {
		return []string{AllAccounts}
	}
	var out []string
	for _, t := range c.Strings {
		if t.Comparison != filter.Equals || !accountID.MatchString(t.Value) {
			return []string{AllAccounts}
		}
		out = append(out, t.Value)
	}
	if len(out) == 0 {
		return []string{AllAccounts}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Sliding reports whether what the scope selects changes with time alone.
func (e Exception) Sliding() bool {
	for _, c := range e.Scope.Criteria {
		for _, t := range c.Dates {
			if t.Range != nil {
				return true
			}
		}
	}
	return false
}

// Warnings gives when to warn that e ends, with the days that are left then: those of
// days that come after it came into force.
func (e Exception) Warnings(days []int) map[int]time.Time {
	out := map[int]time.Time{}
	for _, d := range days {
		if at := e.ExpiresAt.AddDate(0, 0, -d); at.After(e.DecidedAt) {
			out[d] = at
		}
	}
	return out
}
