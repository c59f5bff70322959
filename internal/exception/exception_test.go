package exception_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
)

func TestEveryPairOfStatesIsLegalOrRefused(t *testing.T) {
	t.Parallel()
	// The table of docs/states/exception.md, written a second time.
	legal := map[exception.State]string{"pending": "active rejected withdrawn expired", "active": "ended"}
	for _, from := range exception.States() {
		for _, to := range exception.States() {
			want := slices.Contains(strings.Fields(legal[from]), string(to))
			err := from.Check(to)
			if from.Can(to) != want || want != (err == nil) {
				t.Errorf("%s -> %s: Can = %v, Check = %v, want %v", from, to, from.Can(to), err, want)
			}
			if err != nil && (!fault.Is(err, fault.Conflict) || fault.HintOf(err) == "") {
				t.Errorf("%s -> %s: code = %s, hint %q", from, to, fault.CodeOf(err), fault.HintOf(err))
			}
		}
	}
}

func scope(t *testing.T, text string) filter.Filter {
	t.Helper()
	f, err := filter.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestValidate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	good := exception.Exception{
		Title: "Old mail relay", Owner: "team-mail", Reason: "is replaced in spring", Link: "MAIL-7", ExpiresAt: now.AddDate(0, 0, 30),
		Scope: scope(t, `{"ComplianceSecurityControlId":[{"Value":"EC2.19","Comparison":"EQUALS"}]}`),
	}
	if err := good.Validate(now, 365*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(e *exception.Exception)
		say    string
	}{
		"no title":    {func(e *exception.Exception) { e.Title = " " }, "title is missing"},
		"no owner":    {func(e *exception.Exception) { e.Owner = "" }, "owner is missing"},
		"no reason":   {func(e *exception.Exception) { e.Reason = "" }, "reason is missing"},
		"long title":  {func(e *exception.Exception) { e.Title = strings.Repeat("ä", 201) }, "more than 200 characters"},
		"control":     {func(e *exception.Exception) { e.Reason = "a\x1b[2J" }, "control character"},
		"no expiry":   {func(e *exception.Exception) { e.ExpiresAt = time.Time{} }, "expires_at is missing"},
		"past expiry": {func(e *exception.Exception) { e.ExpiresAt = now }, "has passed"},
		"too long":    {func(e *exception.Exception) { e.ExpiresAt = now.AddDate(0, 0, 366) }, "more than 365 days ahead"},
		"empty scope": {func(e *exception.Exception) { e.Scope = scope(t, `{}`) }, "scope is empty"},
		"empty list":  {func(e *exception.Exception) { e.Scope = scope(t, `{"Id":[]}`) }, "scope is empty"},
		"workflow status": {func(e *exception.Exception) {
			e.Scope = scope(t, `{"WorkflowStatus":[{"Value":"NEW","Comparison":"EQUALS"}]}`)
		}, "itself sets"},
	} {
		e := good
		c.change(&e)
		if err := e.Validate(now, 365*24*time.Hour); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want %q", name, err, c.say)
		}
	}
}

func TestAccountsThatAScopeCanReach(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`{"AwsAccountId":[{"Value":"222222222222","Comparison":"EQUALS"},{"Value":"111111111111","Comparison":"EQUALS"}],"Title":[{"Value":"x","Comparison":"PREFIX"}]}`: {"111111111111", "222222222222"},
		`{"Title":[{"Value":"x","Comparison":"PREFIX"}]}`:                       {"*"},
		`{"AwsAccountId":[{"Value":"1111","Comparison":"PREFIX"}]}`:             {"*"},
		`{"AwsAccountId":[{"Value":"111111111111","Comparison":"NOT_EQUALS"}]}`: {"*"},
		`{"AwsAccountId":[{"Value":"*","Comparison":"EQUALS"}]}`:                {"*"},
		// Another field that speaks of accounts is what a provider wrote.
		`{"ResourceOwnerAccountId":[{"Value":"111111111111","Comparison":"EQUALS"}]}`: {"*"},
	} {
		if got := exception.AccountsOf(scope(t, text)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestSlidingAndWarnings(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	e := exception.Exception{DecidedAt: now, ExpiresAt: now.AddDate(0, 0, 10), Scope: scope(t, `{"UpdatedAt":[{"DateRange":{"Value":7,"Unit":"DAYS"}}]}`)}
	if !e.Sliding() {
		t.Error("a relative date does not slide")
	}
	e.Scope = scope(t, `{"UpdatedAt":[{"Start":"2026-11-01T00:00:00Z","End":"2026-12-01T00:00:00Z"}]}`)
	if e.Sliding() {
		t.Error("a fixed date slides")
	}
	if got := e.Warnings([]int{14, 3}); len(got) != 1 || !got[3].Equal(now.AddDate(0, 0, 7)) {
		t.Errorf("warnings %v", got)
	}
}
