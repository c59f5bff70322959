package cli

import (
	"testing"

	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/org"
)

// FuzzInitAccount: a name and a unit that are taken come out of the file as they went in,
// and nothing else comes with them.
func FuzzInitAccount(f *testing.F) {
	for _, s := range []string{"a", "", "/", `"}` + "\n  x: y", "{{.Hub}}", "\u2028", "\ufeff", "\ufffe", "\U0010ffff", "é\u0301", "# a: 'b' \\", "*a &b !c %d @e", "\x7f", "\xff", "a/b"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, unit string) {
		i := initSettings{
			hub: "000011112222", region: "eu-west-1", role: "ParryMemberRole", externalID: "id",
			accounts: []org.Account{{ID: "111122223333", Name: name, Unit: unit}},
		}
		if i.check() != nil {
			return
		}
		raw, err := i.render()
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		got := cfg.Organization.Accounts
		if len(got) != 1 || got[0].ID != "111122223333" || got[0].Name != name || got[0].Unit != unit || cfg.Organization.HubAccount != "000011112222" || len(cfg.Policies) != 1 {
			t.Errorf("%q %q became %+v", name, unit, got)
		}
	})
}

// TestInitTakesNoListingThatItDoesNotUnderstand: what AWS says is checked like a flag.
func TestInitTakesNoListingThatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	account := func(id, management, name, state string) map[string]any {
		return map[string]any{"Id": id, "Arn": "arn:aws:organizations::" + management + ":account/o-abcdefghij/" + id, "Name": name, "Status": state}
	}
	const root = "123456789012"
	i := initSettings{accounts: []org.Account{{ID: "111122223333", Name: "mine"}}}
	err := i.take([]any{
		account(root, root, "root", "ACTIVE"), account("111122223333", root, "AWS's", "ACTIVE"), account("222233334444", root, "gone", "SUSPENDED"),
		account("333344445555", root, "a\x1b[31m", "ACTIVE"), account("444455556666", root, "dev", "ACTIVE"),
	})
	if err != nil || i.management != root || len(i.accounts) != 3 || i.accounts[0].Name != "mine" || i.accounts[1].Name != "" || i.accounts[2].Name != "dev" {
		t.Errorf("%v, %+v", err, i)
	}
	for name, item := range map[string]any{
		"id": account("1", root, "a", "ACTIVE"), "arn": account("111122223333", "x", "a", "ACTIVE"), "nothing": "text",
		"another organization": account("111122223333", "999988887777", "a", "ACTIVE"),
	} {
		if err := i.take([]any{item}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
