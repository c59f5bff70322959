package app

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/target"
)

const loopTakes = `
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
  Names: {type: StringList, default: []}
  Count: {type: Integer, default: 1}
  Tags: {type: StringMap, default: {}}
mainSteps:
  - {name: Rest, action: "aws:sleep", inputs: {Duration: PT1S}, isEnd: true}
`

// newRuleWorld has the documents of newLoopWorld and one with parameters, and people:
// ada administers everything, olga operates everything, dora administers one account.
func newRuleWorld(t *testing.T) *loopWorld {
	t.Helper()
	w := newLoopWorld(t)
	raw, err := json.Marshal(map[string]string{"Name": "Loop-Takes", "Content": loopTakes, "DocumentFormat": "YAML"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.automation.Answer(t.Context(), ssm.Caller{Principal: auth.Principal{Name: "ada", Roles: []auth.Role{auth.RoleAdmin}, Accounts: []string{auth.All}}}, "CreateDocument", raw); err != nil {
		t.Fatal(err)
	}
	w.key(t, "ada", "admin", auth.All)
	w.key(t, "omar", "operator", auth.All)
	w.key(t, "dora", "admin", loopDev)
	w.key(t, "saul", "approver", auth.All)
	return w
}

func (w *loopWorld) started(t *testing.T) []store.ExecutionRecord {
	t.Helper()
	all, _, err := w.store.ListExecutions(t.Context(), store.ExecutionFilter{Accounts: store.AllAccounts()}, 100, "")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func ruleRunOf(owner, event, document, input string) ruleRun {
	return ruleRun{document: document, region: "eu-central-1", owner: owner, rule: "default/r", target: "t", event: event, input: input}
}

// TestARuleStartsADocument: what the target's input becomes, and that an event starts one
// run however often it is delivered.
func TestARuleStartsADocument(t *testing.T) {
	t.Parallel()
	w := newRuleWorld(t)
	input := `{"Bucket":"b","Names":["x","y"],"Count":7,"Tags":{"k":"v"},"parry:account":"` + loopDev + `","parry:region":"eu-west-3"}`
	for range 2 {
		if err := w.start(t.Context(), ruleRunOf("ada", "e-1", "Loop-Takes", input)); err != nil {
			t.Fatal(err)
		}
	}
	// Delivered once more after the target has changed: the event had its run.
	if err := w.start(t.Context(), ruleRunOf("ada", "e-1", "Loop-Takes", `{"Bucket":"other"}`)); err != nil {
		t.Fatal(err)
	}
	all := w.started(t)
	if len(all) != 1 {
		t.Fatalf("%d runs", len(all))
	}
	of := all[0].Of
	got := []any{of.Document, of.Account, of.Region, of.StartedBy, of.Run.Rule, of.Run.Event, all[0].Status, of.Parameters}
	want := []any{"Loop-Takes", loopDev, "eu-west-3", "ada", "default/r", "e-1", "Pending", map[string]any{
		"Bucket": []any{"b"}, "Names": []any{"x", "y"}, "Count": []any{"7"}, "Tags": []any{`{"k":"v"}`},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the run (-want +got):\n%s", diff)
	}
	audit, err := w.store.AuditPending(t.Context(), store.Execution, 100)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(audit)
	if err != nil || !strings.Contains(string(raw), `"rule":"default/r"`) || !strings.Contains(string(raw), `"event":"e-1"`) {
		t.Errorf("the audit log does not say which rule and event asked: %s, %v", raw, err)
	}
	// Another event, target or rule is another run.
	here := `{"parry:account":"` + loopDev + `"}`
	second, target, rule := ruleRunOf("omar", "e-2", "Loop-Rest", here), ruleRunOf("omar", "e-2", "Loop-Rest", here), ruleRunOf("omar", "e-2", "Loop-Rest", here)
	target.target, rule.rule, rule.version = "u", "default/s", "1"
	for _, run := range []ruleRun{second, target, rule, second} {
		if err := w.start(t.Context(), run); err != nil {
			t.Error(err)
		}
	}
	if all := w.started(t); len(all) != 4 {
		t.Errorf("%d runs, want 4", len(all))
	}
}

// TestARuleStartsNothing is what a rule may not have started, and what a delivery of it
// becomes.
func TestARuleStartsNothing(t *testing.T) {
	t.Parallel()
	w := newRuleWorld(t)
	on := func(account, rest string) string { return `{"parry:account":"` + account + `"` + rest + `}` }
	for name, c := range map[string]struct {
		run  ruleRun
		code fault.Code
		says string
	}{
		"nobody put the target":         {ruleRunOf("", "e", "Loop-Rest", on(loopDev, "")), fault.Denied, "put it again"},
		"whoever put it has left":       {ruleRunOf("gone", "e", "Loop-Rest", on(loopDev, "")), fault.Denied, ""},
		"a reader":                      {ruleRunOf("rita", "e", "Loop-Rest", on(loopDev, "")), fault.Denied, ""},
		"an approver":                   {ruleRunOf("saul", "e", "Loop-Rest", on(loopDev, "")), fault.Denied, ""},
		"an operator of one account":    {ruleRunOf("olga", "e", "Loop-Rest", on(loopDev, "")), fault.Denied, ""},
		"an admin of one account":       {ruleRunOf("dora", "e", "Loop-Rest", on(loopDev, "")), fault.Denied, ""},
		"a document not for operators":  {ruleRunOf("omar", "e", "Other", on(loopDev, "")), fault.Denied, "may not start document Other"},
		"an account that is not ours":   {ruleRunOf("ada", "e", "Loop-Rest", on("123456789012", "")), fault.Denied, "not one that Parry answers for"},
		"an account that is none":       {ruleRunOf("ada", "e", "Loop-Rest", on("../etc", "")), fault.Invalid, "12-digit"},
		"two accounts":                  {ruleRunOf("ada", "e", "Loop-Rest", `{"parry:account":["1","2"]}`), fault.Invalid, "2 values"},
		"a Region that is none":         {ruleRunOf("ada", "e", "Loop-Rest", on(loopDev, `,"parry:region":"x y"`)), fault.Invalid, "region"},
		"a document that is gone":       {ruleRunOf("ada", "e", "Loop-Gone", on(loopDev, "")), fault.NotFound, "Loop-Gone not found"},
		"a version that is gone":        {ruleRun{document: "Loop-Rest", version: "7", region: "eu-central-1", owner: "ada", rule: "default/r", target: "t", event: "e"}, fault.NotFound, "no version 7"},
		"an unknown parameter":          {ruleRunOf("ada", "e", "Loop-Takes", on(loopDev, `,"Bucket":"b","Else":1`)), fault.Invalid, "Else"},
		"a parameter that is missing":   {ruleRunOf("ada", "e", "Loop-Takes", on(loopDev, "")), fault.Invalid, "Missing required parameter: Bucket"},
		"a parameter of another type":   {ruleRunOf("ada", "e", "Loop-Takes", on(loopDev, `,"Bucket":"b","Count":"many"`)), fault.Invalid, "Count"},
		"nothing where the path points": {ruleRunOf("ada", "e", "Loop-Takes", on(loopDev, `,"Bucket":null`)), fault.Invalid, `"Bucket" is null`},
		"an input that is a text":       {ruleRunOf("ada", "e", "Loop-Takes", `"b"`), fault.Invalid, "no JSON object"},
		"an input that is null":         {ruleRunOf("ada", "e", "Loop-Takes", `null`), fault.Invalid, "no JSON object"},
		"a tag of the API":              {ruleRunOf("ada", "e", "Loop-Takes", on(loopDev, `,"Bucket":"b","parry:waves":"1:2"`)), fault.Invalid, "parry:waves"},
	} {
		err := lasting(w.start(t.Context(), c.run))
		if !fault.Is(err, c.code) || !fault.IsTerminal(err) || !strings.Contains(errText(err), c.says) {
			t.Errorf("%s: %v (code %s); want %s, %q, and no other try", name, err, fault.CodeOf(err), c.code, c.says)
		}
	}
	if all := w.started(t); len(all) > 0 {
		t.Errorf("%d runs were started", len(all))
	}
	if err := w.store.RevokeKey(t.Context(), w.keys["ada"], store.Effects{}); err != nil {
		t.Fatal(err)
	}
	if err := w.start(t.Context(), ruleRunOf("ada", "e", "Loop-Rest", on(loopDev, ""))); !fault.Is(err, fault.Denied) {
		t.Errorf("with a revoked key: %v", err)
	}
	if err := lasting((&loopback{}).start(t.Context(), ruleRunOf("ada", "e", "Loop-Rest", ""))); err == nil || fault.IsTerminal(err) {
		t.Errorf("before the server has started: %v", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error() + " " + fault.HintOf(err)
}

// TestWhatMayBePut: rights and constants are looked at when a target is put.
func TestWhatMayBePut(t *testing.T) {
	t.Parallel()
	w := newRuleWorld(t)
	person := func(name string, role auth.Role, accounts ...string) auth.Principal {
		return auth.Principal{Name: name, KeyName: name, Roles: []auth.Role{role}, Accounts: accounts}
	}
	ada := person("ada", auth.RoleAdmin, auth.All)
	to := func(document, input string) target.Target {
		return target.Target{ID: "t", ARN: "arn:aws:ssm:eu-central-1:999988887777:automation-definition/" + document, Input: input}
	}
	templated := to("Loop-Takes:1", "")
	templated.InputTransformer = &target.InputTransformer{InputPathsMap: map[string]string{"b": "$.detail.bucket"}, InputTemplate: `{"Bucket":<b>}`}
	for name, c := range map[string]struct {
		p    auth.Principal
		t    target.Target
		want fault.Code // "" = it may be put
	}{
		"with an input":                {ada, to("Loop-Takes:$DEFAULT", `{"Bucket":"b","parry:account":"`+loopDev+`"}`), ""},
		"with a template":              {ada, templated, ""},
		"a parameter is missing":       {ada, to("Loop-Takes", `{"parry:account":"`+loopDev+`"}`), fault.Invalid},
		"a version is missing":         {ada, to("Loop-Takes:9", `{"Bucket":"b","parry:account":"`+loopDev+`"}`), fault.NotFound},
		"an account is foreign":        {ada, to("Loop-Takes", `{"Bucket":"b","parry:account":"123456789012"}`), fault.Denied},
		"by a reader":                  {person("rita", auth.RoleReader, auth.All), templated, fault.Denied},
		"by an admin of one account":   {person("dora", auth.RoleAdmin, loopDev), templated, fault.Denied},
		"by a key that is not stored":  {person("eve", auth.RoleAdmin, auth.All), templated, fault.Denied},
		"a document of administrators": {person("omar", auth.RoleOperator, auth.All), to("Other", `{"parry:account":"`+loopDev+`"}`), fault.Denied},
	} {
		if err := w.mayHaveStarted(t.Context(), c.p, c.t); fault.CodeOf(err) != c.want && !(err == nil && c.want == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&loopback{store: w.store}).mayHaveStarted(t.Context(), ada, templated); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("before the server has started: %v", err)
	}
}
