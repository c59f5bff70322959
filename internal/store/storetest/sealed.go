package storetest

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// Sealed writes a marker into everything that must be sealed and then looks for
// it in raw, which gives all bytes of the database. It also looks for text that
// must be there, so that a look in the wrong place does not pass.
func Sealed(t *testing.T, s *store.Store, raw func() string) {
	t.Helper()
	const marker = "sEALED-mARKER-7d41"
	ctx := t.Context()
	k := key("PKSEALED")
	k.Secret = marker
	ok(t, s.PutKey(ctx, k, store.Effects{}))
	r, p := Remediation(t, "rem-sealed")
	p.Parameters["secret"] = marker
	p.Runbook.Content = marker
	r.PlanHash = must(p.Hash())(t)
	ok(t, s.CreateRemediation(ctx, r, &p, store.Effects{}))
	c := change(1)
	c.Call.Input["secret"], c.Before.Data["secret"] = marker, marker
	ok(t, s.RecordIntent(ctx, c))
	c.Outcome, c.Error, c.Answer = remediation.Refused, marker, []byte(`"`+marker+`"`)
	ok(t, s.RecordOutcome(ctx, c))
	e := execution(1, 1)
	e.State = []byte(marker)
	ok(t, s.PutExecution(ctx, e))
	ok(t, s.PutStep(ctx, store.Step{Execution: "exe-1", Seq: 1, Inputs: []byte(marker), Outputs: []byte(marker), Failure: marker}))

	of := executionOf(0)
	of.ID, of.Of.Parameters, of.Result.Failure = "exe-of", map[string]any{"secret": marker}, marker
	ok(t, s.CreateExecutions(ctx, []store.ExecutionRecord{of}, store.Effects{Signals: []store.Signal{{Execution: "exe-of", Kind: "Approve", Comment: marker}}}))
	ok(t, s.AppendScriptCall(ctx, "exe-of", "k", store.ScriptCall{N: 1, Answer: []byte(marker)}))
	must(s.PutBlob(ctx, "x", []byte(marker)))(t)
	kept := busObject(store.BusKindConnection, "", "sealed-connection", 1)
	kept.Doc = []byte(`{"secret":"` + marker + `"}`)
	ok(t, s.CreateBusObject(ctx, kept, 5, store.Effects{}))
	incident := caseOf(1)
	incident.Title, incident.Description = marker, marker
	ok(t, s.CreateCase(ctx, incident, entry(marker), caseMost, store.Effects{}))

	same(t, marker, must(s.Case(ctx, incident.ID))(t).Title)
	same(t, string(kept.Doc), string(must(s.BusObject(ctx, kept.BusKey))(t).Doc))
	same(t, marker, must(s.Key(ctx, "PKSEALED"))(t).Secret.Reveal())
	same(t, marker, must(s.Plan(ctx, r.PlanHash))(t).Runbook.Content)
	same(t, marker, must(s.Changes(ctx, "rem-1"))(t)[0].Error)
	same(t, `"`+marker+`"`, string(must(s.Changes(ctx, "rem-1"))(t)[0].Answer))
	same(t, marker, string(must(s.Execution(ctx, "exe-1"))(t).State))
	same(t, marker, must(s.Steps(ctx, "exe-1"))(t)[0].Failure)

	all := raw()
	if !strings.Contains(all, "PKSEALED") || !strings.Contains(all, "rem-sealed") {
		t.Fatal("the open columns are not in what was read: the look is in the wrong place")
	}
	for name, form := range map[string]string{
		"as it is": marker, "in base64": base64.StdEncoding.EncodeToString([]byte(marker))[:20],
		"in hexadecimal": hex.EncodeToString([]byte(marker)),
	} {
		if strings.Contains(all, form) {
			t.Errorf("the marker stands in the database %s", name)
		}
	}
}
