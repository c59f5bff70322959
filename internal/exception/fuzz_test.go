package exception_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
)

// FuzzScope reads any text as the scope of an exception. One that is taken survives its
// storing, and reaches no account that it does not name: who may decide about it hangs
// on that.
func FuzzScope(f *testing.F) {
	f.Add([]byte(`{"AwsAccountId":[{"Value":"222222222222","Comparison":"EQUALS"},{"Value":"111111111111","Comparison":"EQUALS"}],"Title":[{"Value":"x","Comparison":"PREFIX"}]}`))
	f.Add([]byte(`{"AwsAccountId":[{"Value":"1111","Comparison":"PREFIX"}],"UpdatedAt":[{"DateRange":{"Value":7,"Unit":"DAYS"}}]}`))
	f.Add([]byte(`{"WorkflowStatus":[{"Value":"NEW","Comparison":"EQUALS"}]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		scope, err := filter.Parse(raw)
		if err == nil {
			err = exception.CheckScope(scope)
		}
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("code %s: %v", fault.CodeOf(err), err)
			}
			return
		}
		accounts := exception.AccountsOf(scope)
		if len(accounts) == 0 {
			t.Fatal("it reaches nothing, so anybody may decide about it")
		}
		c, named := scope.Criterion("AwsAccountId")
		for _, a := range accounts {
			if a != exception.AllAccounts && (!named || !slices.ContainsFunc(c.Strings, func(s filter.StringTest) bool { return s.Value == a && s.Comparison == filter.Equals })) {
				t.Errorf("it reaches %q, which it does not name", a)
			}
		}
		kept, err := json.Marshal(exception.Exception{Scope: scope})
		if err != nil {
			t.Fatal(err)
		}
		var again exception.Exception
		if err := json.Unmarshal(kept, &again); err != nil {
			t.Fatalf("stored as %s, it is read as %v", kept, err)
		}
		if got := again.Accounts(); !slices.Equal(got, accounts) {
			t.Errorf("stored, it reaches %v, and before %v", got, accounts)
		}
	})
}
