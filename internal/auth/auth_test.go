package auth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

const dev, prod = "222222222222", "333333333333"

// TestRoleTable is the table in full: a right that is given by mistake shows up
// here.
func TestRoleTable(t *testing.T) {
	t.Parallel()
	read := []auth.Action{
		auth.FindingRead, auth.RemediationRead, auth.PlanRead, auth.ApprovalRead, auth.SwitchRead, auth.HubRead, auth.AuditRead,
		auth.DocumentRead, auth.ExecutionRead, auth.RuleRead, auth.SourceRead, auth.ExceptionRead, auth.CaseRead, auth.OrganizationRead, auth.EventRuleRead, auth.ChannelRead,
	}
	want := map[auth.Role][]auth.Action{
		auth.RoleAdmin:    auth.Actions(),
		auth.RoleOperator: append([]auth.Action{auth.FindingImport, auth.FindingUpdate, auth.FindingAct, auth.InsightWrite, auth.RemediationRequest, auth.RemediationUndo, auth.SwitchOn, auth.ExecutionStart, auth.ExecutionControl, auth.SourceWrite, auth.ExceptionRequest, auth.ExceptionEnd, auth.CaseWrite, auth.OrganizationSync, auth.EventPut}, read...),
		auth.RoleApprover: append([]auth.Action{auth.ApprovalDecide, auth.SwitchOn, auth.ExceptionDecide, auth.ExceptionEnd}, read...),
		auth.RoleReader:   read,
		auth.RoleSource:   {auth.FindingRead, auth.FindingImport, auth.FindingUpdate, auth.HubRead, auth.EventPut},
		"":                nil,
		"root":            nil,
	}
	for role, actions := range want {
		for _, action := range append(auth.Actions(), "", "finding.delete") {
			if got := role.May(action); got != slices.Contains(actions, action) {
				t.Errorf("role %q, action %q: %v", role, action, got)
			}
		}
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	operator := auth.Principal{Name: "olga", KeyName: "laptop", Roles: []auth.Role{auth.RoleOperator}, Accounts: []string{dev}}
	admin := auth.Principal{Name: "ada", Roles: []auth.Role{auth.RoleAdmin}, Accounts: []string{auth.All}}
	both := auth.Principal{Roles: []auth.Role{auth.RoleReader, auth.RoleApprover}, Accounts: []string{dev, prod}}
	for name, c := range map[string]struct {
		p       auth.Principal
		action  auth.Action
		account string
		hint    string // "" = allowed
	}{
		"within":                  {operator, auth.RemediationUndo, dev, ""},
		"foreign account":         {operator, auth.RemediationUndo, prod, "add the account to the key laptop"},
		"no account":              {operator, auth.RemediationUndo, "", "add the account"},
		"role lacks it":           {operator, auth.ApprovalDecide, dev, "approval.decide: admin, approver"},
		"installation":            {operator, auth.SwitchOn, auth.All, "a key that has all accounts"},
		"admin everywhere":        {admin, auth.RemediationUndo, prod, ""},
		"admin, no account":       {admin, auth.RemediationUndo, "", "add the account"},
		"admin, installation":     {admin, auth.KeyWrite, auth.All, ""},
		"one of two roles":        {both, auth.ApprovalDecide, prod, ""},
		"nobody":                  {auth.Principal{}, auth.FindingRead, dev, "finding.read"},
		"nobody with all":         {auth.Principal{Accounts: []string{auth.All}}, auth.FindingRead, dev, "finding.read"},
		"role without an account": {auth.Principal{Roles: auth.Roles()}, auth.FindingRead, dev, "add the account"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := auth.Authorize(c.p, c.action, c.account)
			if c.hint == "" && err == nil {
				return
			}
			if !fault.Is(err, fault.Denied) || c.hint == "" || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.HintOf(err))
			}
		})
	}
}

func TestScopeIsNeverNilAndNeverShared(t *testing.T) {
	t.Parallel()
	if s := auth.Scope(auth.Principal{}); s == nil || len(s) != 0 {
		t.Errorf("%#v", s)
	}
	p := auth.Principal{Accounts: []string{dev}}
	auth.Scope(p)[0] = auth.All
	if p.Accounts[0] != dev {
		t.Error("the scope of the principal was changed")
	}
	if got := auth.PrincipalFrom(context.Background()); got.May(auth.FindingRead) || got.Covers(dev) {
		t.Error("a context without a principal may do something")
	}
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	g := auth.Grant{Name: "hub", Roles: []string{"source"}, Accounts: []string{dev}, Products: []string{"aws/securityhub"}, Trusted: true}
	k, err := auth.NewKey(g, rand.Reader, now)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^PARRY[A-Z2-7]{15}$`).MatchString(k.AccessKeyID) || !regexp.MustCompile(`^[A-Za-z0-9]{40}$`).MatchString(k.Secret.Reveal()) {
		t.Errorf("id %q, secret of %d characters", k.AccessKeyID, len(k.Secret.Reveal()))
	}
	want := store.Key{Name: "hub", Principal: "hub", Roles: g.Roles, Accounts: g.Accounts, Products: g.Products, Trusted: true, CreatedAt: now}
	got := k
	got.AccessKeyID, got.Secret = "", ""
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if strings.Contains(fmt.Sprintf(format, k), k.Secret.Reveal()) {
			t.Errorf("%s prints the secret", format)
		}
	}
	other, err := auth.NewKey(g, rand.Reader, now)
	if err != nil || other.AccessKeyID == k.AccessKeyID || other.Secret == k.Secret {
		t.Errorf("two keys are alike, %v", err)
	}
	if _, err := auth.NewKey(g, bytes.NewReader(make([]byte, 20)), now); err == nil {
		t.Error("a random source that ends gives a key")
	}
}

func TestSecretsUseTheAlphabetEvenly(t *testing.T) {
	t.Parallel()
	// 248 to 255 are beyond the last whole alphabet and are thrown away.
	source := append(bytes.Repeat([]byte{0}, 10), bytes.Repeat([]byte{255, 248, 247, 0}, 40)...)
	k, err := auth.NewKey(auth.Grant{Name: "x", Roles: []string{"reader"}, Accounts: []string{dev}}, bytes.NewReader(source), time.Time{})
	if err != nil || k.Secret.Reveal() != strings.Repeat("9A", 20) {
		t.Errorf("%q, %v", k.Secret.Reveal(), err)
	}
}

func TestNewKeyRefuses(t *testing.T) {
	t.Parallel()
	good := auth.Grant{Name: "hub", Roles: []string{"source"}, Accounts: []string{dev}, Products: []string{"aws/securityhub"}}
	for name, change := range map[string]func(*auth.Grant){
		"no name":             func(g *auth.Grant) { g.Name = "" },
		"name with a slash":   func(g *auth.Grant) { g.Name = "a/b" },
		"name with a newline": func(g *auth.Grant) { g.Name = "a\nb" },
		"long principal":      func(g *auth.Grant) { g.Principal = strings.Repeat("x", 129) },
		"no role":             func(g *auth.Grant) { g.Roles = nil },
		"unknown role":        func(g *auth.Grant) { g.Roles = []string{"source", "root"} },
		"no account":          func(g *auth.Grant) { g.Accounts = nil },
		"short account":       func(g *auth.Grant) { g.Accounts = []string{"1234"} },
		"account of letters":  func(g *auth.Grant) { g.Accounts = []string{"abcdefghijkl"} },
		"account pattern":     func(g *auth.Grant) { g.Accounts = []string{"2222*"} },
		"source, no product":  func(g *auth.Grant) { g.Products = nil },
		"product of one word": func(g *auth.Grant) { g.Products = []string{"securityhub"} },
		"product with space":  func(g *auth.Grant) { g.Products = []string{"aws/security hub"} },
		"trust for a reader":  func(g *auth.Grant) { g.Roles, g.Trusted = []string{"reader"}, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := good
			change(&g)
			if _, err := auth.NewKey(g, rand.Reader, time.Time{}); !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := auth.NewKey(good, rand.Reader, time.Time{}); err != nil {
		t.Error(err)
	}
}

type table struct {
	key store.Key
	err error
}

func (t table) Key(context.Context, string) (store.Key, error) { return t.key, t.err }

func TestKeyring(t *testing.T) {
	t.Parallel()
	good := store.Key{AccessKeyID: "PARRYA", Secret: "s", Name: "laptop", Principal: "ada", Roles: []string{"reader", "root"}, Accounts: []string{dev}}
	revoked, empty := good, good
	revoked.RevokedAt, empty.Secret = time.Unix(1, 0), ""
	for name, c := range map[string]struct {
		table table
		id    string
		code  fault.Code
	}{
		"good":          {table{good, nil}, "PARRYA", ""},
		"revoked":       {table{revoked, nil}, "PARRYA", fault.NotFound},
		"no secret":     {table{empty, nil}, "PARRYA", fault.NotFound},
		"another case":  {table{good, nil}, "parrya", fault.NotFound},
		"unknown":       {table{err: fault.E(fault.NotFound, "read key", store.ErrNotFound)}, "PARRYB", fault.NotFound},
		"store is gone": {table{err: errors.New("disk")}, "PARRYA", fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ring, err := auth.NewKeyring(c.table)
			if err != nil {
				t.Fatal(err)
			}
			p, secret, err := ring.Find(t.Context(), c.id)
			if fault.CodeOf(err) != c.code {
				t.Fatalf("got %v", err)
			}
			if c.code != "" {
				if secret != "" || len(p.Roles) > 0 {
					t.Error("a refusal gives something away")
				}
				return
			}
			want := auth.Principal{Name: "ada", KeyID: "PARRYA", KeyName: "laptop", Roles: []auth.Role{auth.RoleReader}, Accounts: []string{dev}}
			if diff := cmp.Diff(want, p); diff != "" || secret.Reveal() != "s" {
				t.Error(diff)
			}
		})
	}
}
