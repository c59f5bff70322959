package triage_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/triage"
)

// The seven points of how AWS evaluates automation rules, one test each
// (https://docs.aws.amazon.com/securityhub/latest/userguide/automation-rules.html).
// Each says what was broken in the code, once, to see it fail.

const anyBucket = `{"Title":[{"Value":"bucket","Comparison":"PREFIX"}]}`

// with gives s other rules from now on, as a change of the rulebook does.
func (s setup) with(t *testing.T, rules ...rule.Rule) setup {
	t.Helper()
	tr, err := triage.New(triage.Config{Store: s.store, Clock: s.clock, Rules: triage.FixedRules(rules...)})
	if err != nil {
		t.Fatal(err)
	}
	s.Triage = tr
	return s
}

// 1. Rules are evaluated for new and updated findings that arrive after the rule
// was made; they are not retroactive. Seen to fail: Rulebook.Rules gave the set
// that was compiled first; the second version was then not matched.
func TestRule1NewAndUpdatedFindingsAfterTheRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.give(t, asff("f1", 1))
	r := w.create(t, `"RuleName":"low","Criteria":`+anyBucket, `{"Severity":{"Label":"LOW"}}`)
	if got := w.find(t, "f1").SeverityLabel; got != "MEDIUM" {
		t.Errorf("the rule was applied backwards: %s", got)
	}
	// The same version again is no update, so nothing is evaluated.
	w.give(t, asff("f1", 1))
	if got := w.find(t, "f1").SeverityLabel; got != "MEDIUM" {
		t.Errorf("a version that is not later was evaluated: %s", got)
	}
	w.give(t, asff("f1", 2), asff("f2", 1))
	for _, id := range []string{"f1", "f2"} {
		if got := w.find(t, id).SeverityLabel; got != "LOW" {
			t.Errorf("%s: %s", id, got)
		}
	}
	if hit := w.hit(t, r); hit.Matched != 2 || hit.Changed != 2 {
		t.Errorf("%+v", hit)
	}
}

// What was accepted before the rule is not the rule's, even if it was not triaged
// yet. Seen to fail: CreateRule did not drain.
func TestRule1WhatWaitsInTheInboxIsOlderThanTheRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, asff("f1", 1))
	w.create(t, `"RuleName":"low","Criteria":`+anyBucket, `{"Severity":{"Label":"LOW"}}`)
	w.drain(t)
	if got := w.find(t, "f1").SeverityLabel; got != "MEDIUM" {
		t.Error(got)
	}
}

// 2. BatchUpdateFindings triggers no rule. Seen to fail: Triage.update applied the
// rules to what it had changed.
func TestRule2CustomerUpdatesTriggerNothing(t *testing.T) {
	t.Parallel()
	s := start(t, ruleOf(t, "low", 1, `{"NoteText":[{"Value":"n","Comparison":"EQUALS"}]}`, `{"Severity":{"Label":"LOW"}}`),
		ruleOf(t, "any", 2, anyBucket, `{"Confidence":7}`))
	s.give(t, asff("f1", 1))
	s.update(t, `{"Confidence":50,"Note":{"Text":"n","UpdatedBy":"ada"}}`, "f1")
	if n, _ := s.store.doc(t, "f1").Int("Confidence"); n != 50 {
		t.Errorf("confidence %d: a rule ran", n)
	}
	if got := s.store.record(t, "f1").SeverityLabel; got != "MEDIUM" {
		t.Error(got)
	}
}

// 3. Criteria see what the provider sent: neither the customer's edits nor what
// earlier rules made, with the names of account, company, product and the workflow
// status filled in. Seen to fail: run.ask matched x.current.
func TestRule3CriteriaSeeTheProvidersFinding(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1))
	s.update(t, `{"Severity":{"Label":"CRITICAL"}}`, "f1")
	s = s.with(t,
		ruleOf(t, "of the customer", 1, `{"SeverityLabel":[{"Value":"CRITICAL","Comparison":"EQUALS"}]}`, `{"Confidence":1}`),
		ruleOf(t, "of the provider", 2, `{"SeverityLabel":[{"Value":"MEDIUM","Comparison":"EQUALS"}],"WorkflowStatus":[{"Value":"NEW","Comparison":"EQUALS"}]}`, `{"Criticality":2,"VerificationState":"TRUE_POSITIVE"}`),
		ruleOf(t, "of the rule before", 3, `{"VerificationState":[{"Value":"TRUE_POSITIVE","Comparison":"EQUALS"}]}`, `{"Confidence":3}`))
	s.give(t, asff("f1", 2))
	doc := s.store.doc(t, "f1")
	if doc.Has("Confidence") {
		t.Errorf("confidence: a rule saw what the provider did not send: %s", doc.JSON())
	}
	if n, _ := doc.Int("Criticality"); n != 2 {
		t.Error("the rule on the provider's severity did not match")
	}
}

// 4. Every matching rule applies, in ascending order; the highest number wins, and
// of equal ones the rule that was edited last. Seen to fail: rule.Compare without
// UpdatedAt; rule.Compare with the order reversed.
func TestRule4OrderAndTies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.create(t, `"RuleName":"made first","RuleOrder":5,"Criteria":`+anyBucket, `{"Confidence":1}`)
	w.clock.Advance(time.Second)
	w.create(t, `"RuleName":"made last","RuleOrder":5,"Criteria":`+anyBucket, `{"Confidence":2}`)
	w.create(t, `"RuleName":"lower","RuleOrder":4,"Criteria":`+anyBucket, `{"Confidence":3,"Criticality":4}`)
	w.give(t, asff("f1", 1))
	if n, _ := w.doc(t, "f1").Int("Confidence"); n != 2 {
		t.Errorf("confidence %d, want that of the rule edited last", n)
	}
	if n, _ := w.doc(t, "f1").Int("Criticality"); n != 4 {
		t.Errorf("criticality %d: the lower rule did not apply", n)
	}
	w.clock.Advance(time.Second)
	w.change(t, first, `{"Description":"edited"}`)
	w.give(t, asff("f1", 2))
	if n, _ := w.doc(t, "f1").Int("Confidence"); n != 1 {
		t.Errorf("after the edit: confidence %d", n)
	}
	// Tags say nothing about what a rule does, so they do not move it.
	w.clock.Advance(time.Second)
	w.change(t, w.named(t, "made last"), `{"Tags":{"a":"b"}}`)
	w.give(t, asff("f1", 3))
	if n, _ := w.doc(t, "f1").Int("Confidence"); n != 1 {
		t.Errorf("after tagging: confidence %d", n)
	}
}

// 5. A terminal rule stops later rules for a finding that it matched, and for no
// other. Seen to fail: Set.Apply did not look at run.stopped; it stopped without a
// match.
func TestRule5TerminalStopsOnAMatchOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, `"RuleName":"last word on f1","RuleOrder":1,"IsTerminal":true,"Criteria":{"Id":[{"Value":"f1","Comparison":"PREFIX"}]}`, `{"Confidence":1}`)
	w.create(t, `"RuleName":"later","RuleOrder":2,"Criteria":`+anyBucket, `{"Confidence":2}`)
	w.give(t, asff("f1", 1), asff("f2", 1))
	for id, want := range map[string]int{"f1": 1, "f2": 2} {
		if n, _ := w.doc(t, id).Int("Confidence"); n != want {
			t.Errorf("%s: confidence %d, want %d", id, n, want)
		}
	}
}

// 6. The last write wins: a rule overrides what a customer set, and a customer what
// a rule set. AWS's example is TestRuleFiresOverTheCustomersStatus. Seen to fail:
// subject.write left the rules out for a finding that a customer had touched.
func TestRule6TheLastWriteWins(t *testing.T) {
	t.Parallel()
	s := start(t, ruleOf(t, "low", 1, anyBucket, `{"Severity":{"Label":"LOW"}}`))
	s.give(t, asff("f1", 1))
	s.update(t, `{"Severity":{"Label":"HIGH"}}`, "f1")
	if got := s.store.record(t, "f1").SeverityLabel; got != "HIGH" {
		t.Errorf("the customer's word: %s", got)
	}
	s.give(t, asff("f1", 2))
	if got := s.store.record(t, "f1").SeverityLabel; got != "LOW" {
		t.Errorf("the rule's word: %s", got)
	}
}

// 7. Rules are applied before the event, which is one and has the final state; the
// history says which rule changed what. Seen to fail: imported() was given the
// merged document.
func TestRule7OneEventWithTheFinalState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create(t, `"RuleName":"suppress","Criteria":`+anyBucket, `{"Workflow":{"Status":"SUPPRESSED"}}`)
	w.give(t, asff("f1", 1))
	events := w.events(t)
	if len(events) != 1 || events[0] != "f1 SUPPRESSED" {
		t.Errorf("%v", events)
	}
	want := []string{"AUTOMATION_RULE " + r.ARN + " Workflow:NEW->SUPPRESSED", "BATCH_IMPORT_FINDINGS hub created"}
	if diff := cmp.Diff(want, w.story(t, "f1")); diff != "" {
		t.Error(diff)
	}
}

// A rule whose time is over takes no part, without anybody doing anything.
func TestRuleExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create(t, `"RuleName":"for a day","ExpiresAt":"`+w.clock.Now().Add(24*time.Hour).Format(time.RFC3339)+`","Criteria":`+anyBucket, `{"Severity":{"Label":"LOW"}}`)
	w.give(t, asff("f1", 1))
	w.clock.Advance(24 * time.Hour)
	w.give(t, asff("f2", 1))
	if a, b := w.find(t, "f1").SeverityLabel, w.find(t, "f2").SeverityLabel; a != "LOW" || b != "MEDIUM" {
		t.Errorf("before %s, after %s", a, b)
	}
	if got := w.named(t, r.Name).Status(w.clock.Now()); got != "EXPIRED" {
		t.Error(got)
	}
}
