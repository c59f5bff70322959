package route_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/target"
)

const (
	deskAccount = "111122223333"
	eventsARN   = "arn:aws:events:eu-west-1:" + deskAccount + ":"
	parryARN    = "arn:aws:parry:eu-west-1:" + deskAccount + ":"
	queueARN    = "arn:aws:sqs:eu-west-1:" + deskAccount + ":listed"
	anyBucket   = `{"source":["aws.s3"]}`
)

// newDesk gives a desk on a new database, with one rule of the configuration.
func newDesk(t *testing.T) (*route.Desk, *store.Store) {
	t.Helper()
	s := storetest.SQLite(t)
	return deskOn(t, s), s
}

// deskOn gives a desk as a node has it.
func deskOn(t *testing.T, s *store.Store) *route.Desk {
	t.Helper()
	var d *route.Desk
	allow := route.Allowance{
		Account: deskAccount, Partition: "aws", Listed: []string{queueARN},
		Known:   route.Known{Playbook: func(n string) bool { return n == "S3.8" }, Channel: func(n string) bool { return n == "mail" }},
		Webhook: func(n string) bool { return n == "hook" },
		Runbook: func(_ context.Context, name, version string) error {
			if name == "Fix" && version == "1" {
				return nil
			}
			return fault.Errorf(fault.NotFound, "", "no runbook %s version %s", name, version)
		},
		Bus: func(ctx context.Context, name string) error { _, err := d.Bus(ctx, name); return err },
	}
	d, err := route.NewDesk(route.DeskConfig{
		Store: s, Pages: s, Archives: s, Allow: allow.Check, Account: deskAccount, Region: "eu-west-1", Clock: s.Clock(),
		Membership: func(account string) (organization, path string) {
			if account == member {
				return "o-aaaaaaaaaa", "o-aaaaaaaaaa/r-ab12/ou-ab12-11111111/"
			}
			return "", ""
		},
		Configured: []route.Rule{{ID: "of-file", Name: "of-file", Pattern: json.RawMessage(anyBucket), Enabled: true, Targets: []route.Target{{Kind: route.Playbook, Name: "S3.8"}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// refused checks what an error means and that it says words.
func refused(t *testing.T, err, means error, words string) {
	t.Helper()
	if err == nil || means != nil && !errors.Is(err, means) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v; want %v, %q", err, means, words)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// audited gives the actions in the audit outbox with their objects, in order.
func audited(t *testing.T, s *store.Store) (out []string) {
	t.Helper()
	all, err := s.AuditPending(t.Context(), store.Execution, 1000)
	ok(t, err)
	for _, a := range all {
		out = append(out, a.Actor+" "+a.Action+" "+strings.TrimPrefix(a.Object, eventsARN))
	}
	return out
}

func TestBuses(t *testing.T) {
	t.Parallel()
	d, s := newDesk(t)
	ctx := t.Context()
	def, err := d.Bus(ctx, "")
	ok(t, err)
	if def.ARN != eventsARN+"event-bus/default" || !def.CreatedAt.IsZero() {
		t.Errorf("%+v", def)
	}
	_, err = d.CreateBus(ctx, "orders", "of the shop", map[string]string{"team": "a"}, "ada")
	ok(t, err)
	_, err = d.CreateBus(ctx, "orders", "", nil, "ada")
	refused(t, err, store.ErrExists, "Event bus orders already exists.")
	_, err = d.CreateBus(ctx, "default", "", nil, "ada")
	refused(t, err, store.ErrExists, "already exists")
	_, err = d.CreateBus(ctx, "aws.partner/x", "", nil, "ada")
	refused(t, err, nil, "must not contain '/'")
	_, err = d.UpdateBus(ctx, eventsARN+"event-bus/orders", "new", "bob")
	ok(t, err)
	_, err = d.UpdateBus(ctx, "default", "ours", "bob") // it has no row before
	ok(t, err)
	_, err = d.UpdateBus(ctx, "default", "ours still", "bob")
	ok(t, err)
	for _, name := range []string{"none", "arn:aws:events:eu-west-1:999999999999:event-bus/orders", "arn:aws:events:us-east-1:" + deskAccount + ":event-bus/orders"} {
		_, err = d.UpdateBus(ctx, name, "x", "bob")
		refused(t, err, store.ErrNotFound, "does not exist")
	}
	all, next, err := d.Buses(ctx, route.Paging{Limit: 1})
	ok(t, err)
	more, end, err := d.Buses(ctx, route.Paging{Limit: 1, After: next})
	ok(t, err)
	got := []string{all[0].Name, all[0].Description, more[0].Name, more[0].Description, end}
	if diff := cmp.Diff([]string{"default", "ours still", "orders", "new", ""}, got); diff != "" {
		t.Error(diff)
	}
	refused(t, d.DeleteBus(ctx, "default", "ada"), nil, "Cannot delete event bus default.")
	_, err = d.PutRule(ctx, route.PutRule{Bus: "orders", Name: "r", Pattern: anyBucket})
	ok(t, err)
	refused(t, d.DeleteBus(ctx, "orders", "ada"), nil, "since it has rules")
	ok(t, d.DeleteRule(ctx, "orders", "r", "ada"))
	ok(t, d.DeleteBus(ctx, "orders", "ada"))
	ok(t, d.DeleteBus(ctx, "orders", "ada")) // it is gone already
	want := []string{
		"ada event_bus.created event-bus/orders", "bob event_bus.updated event-bus/orders", "bob event_bus.updated event-bus/default", "bob event_bus.updated event-bus/default",
		" event_rule.put rule/orders/r", "ada event_rule.deleted rule/orders/r", "ada event_bus.deleted event-bus/orders",
	}
	if diff := cmp.Diff(want, audited(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestPutRuleReplacesAllButTargetsAndTags(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	first, err := d.PutRule(ctx, route.PutRule{Name: "r", Pattern: anyBucket, Schedule: "rate(5 minutes)", State: route.StateDisabled, Description: "d", RoleARN: "arn:aws:iam::1:role/x", Tags: map[string]string{"a": "b"}, By: "ada"})
	ok(t, err)
	if _, err := d.PutTargets(ctx, route.PutTargets{Rule: "r", Targets: []target.Target{{ID: "1", ARN: parryARN + "log/x"}}, By: "ada"}); err != nil {
		t.Fatal(err)
	}
	second, err := d.PutRule(ctx, route.PutRule{Name: "r", Schedule: "cron(0 10 * * ? *)", Tags: map[string]string{"z": "z"}, By: "ada"})
	ok(t, err)
	got, err := d.Rule(ctx, "default", "r")
	ok(t, err)
	if first.ARN != eventsARN+"rule/r" || second.ARN != first.ARN || got.Pattern != "" || got.Schedule != "cron(0 10 * * ? *)" || got.State != route.StateEnabled ||
		got.Description != "" || got.RoleARN != "" || got.Tags["a"] != "b" || len(got.Tags) != 1 || len(got.Targets) != 1 || got.CreatedBy != deskAccount {
		t.Errorf("%+v", got)
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	t.Parallel()
	d, s := newDesk(t)
	ctx := t.Context()
	_, err := d.CreateBus(ctx, "orders", "", nil, "ada")
	ok(t, err)
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint(i)] = ""
	}
	before := len(audited(t, s))
	for name, c := range map[string]struct {
		put   route.PutRule
		means error
		words string
	}{
		"nothing":          {route.PutRule{Name: "r"}, nil, "EventPattern or ScheduleExpression must be specified"},
		"pattern":          {route.PutRule{Name: "r", Pattern: `{"source":"x"}`}, route.ErrPattern, "Event pattern is not valid. Reason: "},
		"schedule":         {route.PutRule{Name: "r", Schedule: "rate(1 minutes)"}, nil, "Parameter ScheduleExpression is not valid"},
		"at that passed":   {route.PutRule{Name: "r", Schedule: "at(2020-01-01T00:00:00) Europe/Zurich"}, nil, "has passed"},
		"no such zone":     {route.PutRule{Name: "r", Schedule: "cron(0 9 ? * MON-FRI *) Zurich"}, nil, "there is no time zone"},
		"schedule, no bus": {route.PutRule{Name: "r", Bus: "orders", Schedule: "rate(5 minutes)"}, nil, "only on the default event bus"},
		"no bus":           {route.PutRule{Name: "r", Bus: "none", Pattern: anyBucket}, store.ErrNotFound, "Event bus none does not exist."},
		"foreign bus":      {route.PutRule{Name: "r", Bus: "arn:aws:events:eu-west-1:999999999999:event-bus/default", Pattern: anyBucket}, store.ErrNotFound, "does not exist"},
		"managed":          {route.PutRule{Name: "of-file", Pattern: anyBucket}, route.ErrManaged, "managed by parry.yaml"},
		"tags":             {route.PutRule{Name: "r", Pattern: anyBucket, Tags: many}, nil, "at most 50 tags"},
		"reserved tag":     {route.PutRule{Name: "r", Pattern: anyBucket, Tags: map[string]string{"AWS:x": ""}}, nil, "reserved"},
	} {
		_, err := d.PutRule(ctx, c.put)
		if err == nil {
			t.Errorf("%s: it was made", name)
			continue
		}
		refused(t, err, c.means, c.words)
	}
	if got := audited(t, s); len(got) != before {
		t.Errorf("audited: %v", got)
	}
}

func TestRulesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	r, err := d.Rule(ctx, "", "of-file")
	ok(t, err)
	if !r.Configured || r.Pattern != anyBucket || !r.Enabled() || len(r.Targets) != 1 || r.Targets[0].ARN != parryARN+"playbook/S3.8" {
		t.Errorf("%+v", r)
	}
	_, err = d.PutTargets(ctx, route.PutTargets{Rule: "of-file", Targets: []target.Target{{ID: "1", ARN: parryARN + "log/x"}}, By: "ada"})
	refused(t, err, route.ErrManaged, "bus_rules")
	for _, err := range []error{
		d.DeleteRule(ctx, "", "of-file", "ada"), d.SetRuleState(ctx, "", "of-file", false, "ada"), d.RemoveTargets(ctx, "", "of-file", []string{"x"}, "ada"),
		d.SetTags(ctx, r.ARN, map[string]string{"a": "b"}, nil, "ada"),
	} {
		refused(t, err, route.ErrManaged, "managed by parry.yaml")
	}
	for _, name := range []string{"a", "p", "z"} {
		_, err := d.PutRule(ctx, route.PutRule{Name: name, Pattern: anyBucket})
		ok(t, err)
	}
	for _, limit := range []int{1, 2, 3, 4} { // wherever a page ends
		var names []string
		for p := (route.Paging{Limit: limit}); ; {
			page, next, err := d.Rules(ctx, "default", p, nil)
			ok(t, err)
			for _, r := range page {
				names = append(names, r.Name)
			}
			if len(page) > limit {
				t.Errorf("a page of %d has %d", limit, len(page))
			}
			if p.After = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff([]string{"a", "of-file", "p", "z"}, names); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
	page, _, err := d.RulesOf(ctx, "", parryARN+"playbook/S3.8", route.Paging{})
	ok(t, err)
	if len(page) != 1 || page[0].Name != "of-file" {
		t.Errorf("%+v", page)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	d, s := newDesk(t)
	ctx := t.Context()
	_, err := d.PutRule(ctx, route.PutRule{Name: "r", Pattern: anyBucket, By: "ada"})
	ok(t, err)
	_, err = d.CreateBus(ctx, "orders", "", nil, "ada")
	ok(t, err)
	good := []target.Target{
		{ID: "playbook", ARN: parryARN + "playbook/S3.8"},
		{ID: "any", ARN: parryARN + "playbook/*"},
		{ID: "channel", ARN: parryARN + "channel/mail"},
		{ID: "hook", ARN: parryARN + "webhook/hook", InputPath: "$.detail"},
		{ID: "log", ARN: parryARN + "log/a", Input: `"secret-marker"`},
		{ID: "bus", ARN: eventsARN + "event-bus/orders"},
		{ID: "queue", ARN: queueARN},
		{ID: "runbook", ARN: "arn:aws:ssm:eu-west-1:" + deskAccount + ":automation-definition/Fix:1"},
	}
	bad := map[string]struct{ arn, code, words string }{
		"no-playbook": {parryARN + "playbook/S3.9", "ResourceNotFoundException", "does not exist"},
		"no-channel":  {parryARN + "channel/x", "ResourceNotFoundException", "does not exist"},
		"no-kind":     {parryARN + "shell/x", "ValidationException", "no targets of the kind"},
		"bad-log":     {parryARN + "log/a b", "ValidationException", "a log's name"},
		"self":        {eventsARN + "event-bus/default", "ValidationException", "the bus of the rule itself"},
		"no-bus":      {eventsARN + "event-bus/none", "ResourceNotFoundException", "does not exist"},
		"other-bus":   {"arn:aws:events:eu-west-1:999999999999:event-bus/default", "AccessDeniedException", "event_targets in parry.yaml"},
		"not-listed":  {"arn:aws:sqs:eu-west-1:" + deskAccount + ":other", "AccessDeniedException", "event_targets in parry.yaml"},
		"not-served":  {"arn:aws:firehose:eu-west-1:" + deskAccount + ":deliverystream/x", "ValidationException", "does not call firehose"},
		"no-version":  {"arn:aws:ssm:eu-west-1:" + deskAccount + ":automation-definition/Fix:2", "ResourceNotFoundException", "version 2"},
		"foreign":     {"arn:aws:parry:eu-west-1:999999999999:playbook/S3.8", "ValidationException", "does not call parry"},
		"no-api":      {eventsARN + "api-destination/x/y", "ResourceNotFoundException", "does not exist"},
	}
	put := slices.Clone(good)
	for id, b := range bad {
		put = append(put, target.Target{ID: id, ARN: b.arn})
	}
	var asked []string
	failed, err := d.PutTargets(ctx, route.PutTargets{
		Rule: "r", By: "ada", Targets: append(put,
			target.Target{ID: "shaped", ARN: parryARN + "channel/mail", Input: "1"},
			target.Target{ID: "dlq", ARN: parryARN + "log/a", DeadLetterConfig: &target.DeadLetterConfig{ARN: "arn:aws:sqs:eu-west-1:" + deskAccount + ":other"}}),
		Starts: func(_ context.Context, t target.Target) error { asked = append(asked, t.ID); return nil },
	})
	if diff := cmp.Diff([]string{"runbook"}, asked); diff != "" {
		t.Errorf("rights were asked for (-want +got):\n%s", diff)
	}
	ok(t, err)
	if len(failed) != len(bad)+2 {
		t.Errorf("%d failed", len(failed))
	}
	for _, f := range failed {
		if want, ok := bad[f.ID]; ok && (f.Code != want.code || !strings.Contains(f.Message, want.words)) {
			t.Errorf("%+v; want %+v", f, want)
		}
	}
	have, _, err := d.Targets(ctx, "", "r", route.Paging{})
	ok(t, err)
	slices.SortFunc(good, func(a, b target.Target) int { return strings.Compare(a.ID, b.ID) })
	if diff := cmp.Diff(good, have); diff != "" {
		t.Error(diff)
	}
	// One is replaced, one page is asked for.
	_, err = d.PutTargets(ctx, route.PutTargets{Rule: "r", Targets: []target.Target{{ID: "log", ARN: parryARN + "log/b"}}, By: "ada"})
	ok(t, err)
	page, next, err := d.Targets(ctx, "", "r", route.Paging{Prefix: "l", Limit: 1})
	if err != nil || next != "" || len(page) != 1 || page[0].ARN != parryARN+"log/b" {
		t.Errorf("%+v, %q, %v", page, next, err)
	}
	refused(t, d.DeleteRule(ctx, "", "r", "ada"), nil, "since it has targets")
	var ids []string
	for _, g := range good {
		ids = append(ids, g.ID)
	}
	ok(t, d.RemoveTargets(ctx, "", "r", append(ids, "never there"), "ada"))
	ok(t, d.DeleteRule(ctx, "", "r", "ada"))
	all, err := s.AuditPending(ctx, store.Execution, 100)
	ok(t, err)
	raw, err := json.Marshal(all)
	ok(t, err)
	if strings.Contains(string(raw), "secret-marker") || !strings.Contains(string(raw), queueARN) {
		t.Errorf("what is sent to a target is in the audit log, or its ARN is not: %s", raw)
	}
}

// TestARuleStartsDocumentsAsSomebody: whoever put the target, or changed since what the
// rule matches, stands for what it starts; who may not start the document puts no target.
func TestARuleStartsDocumentsAsSomebody(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	put := func(pattern, by string) {
		t.Helper()
		_, err := d.PutRule(ctx, route.PutRule{Name: "r", Pattern: pattern, By: by})
		ok(t, err)
	}
	owner := func(want string) {
		t.Helper()
		r, err := d.Rule(ctx, "", "r")
		if got := r.Owners["fix"]; err != nil || got != want {
			t.Errorf("%q stands for the target, want %q, %v", got, want, err)
		}
	}
	put(anyBucket, "ada")
	fix := route.PutTargets{Rule: "r", By: "ada", Targets: []target.Target{{ID: "fix", ARN: "arn:aws:ssm:eu-west-1:" + deskAccount + ":automation-definition/Fix:1"}}}
	for name, starts := range map[string]func(context.Context, target.Target) error{
		"nobody said that ada may": nil,
		"ada may not":              func(context.Context, target.Target) error { return fault.Errorf(fault.Denied, "", "ada may not") },
	} {
		fix.Starts = starts
		failed, err := d.PutTargets(ctx, fix)
		if err != nil || len(failed) != 1 || failed[0].Code != "AccessDeniedException" {
			t.Errorf("%s: %+v, %v", name, failed, err)
		}
		owner("")
	}
	fix.Starts = func(context.Context, target.Target) error { return nil }
	failed, err := d.PutTargets(ctx, fix)
	if err != nil || len(failed) > 0 {
		t.Fatal(failed, err)
	}
	owner("ada")
	put(anyBucket, "bob") // the same again
	owner("ada")
	put(`{"source":["aws.ec2"]}`, "bob")
	owner("bob")
	ok(t, d.RemoveTargets(ctx, "", "r", []string{"fix"}, "ada"))
	owner("")
}

func TestTargetsAreLimited(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	_, err := d.PutRule(ctx, route.PutRule{Name: "r", Pattern: anyBucket})
	ok(t, err)
	logs := func(from, to int, input string) (out []target.Target) {
		for i := from; i < to; i++ {
			out = append(out, target.Target{ID: fmt.Sprint(i), ARN: parryARN + "log/x", Input: input})
		}
		return out
	}
	_, err = d.PutTargets(ctx, route.PutTargets{Rule: "r", Targets: append(logs(0, 1, ""), logs(0, 1, "")...), By: "ada"})
	refused(t, err, nil, "more than once")
	_, err = d.PutTargets(ctx, route.PutTargets{Rule: "r", Targets: []target.Target{{ID: "1", ARN: "x"}, {ID: "2", ARN: parryARN + "log/x"}}, By: "ada"})
	refused(t, err, nil, "Provided Arn is not in correct format")
	_, err = d.PutTargets(ctx, route.PutTargets{Rule: "none", Targets: logs(0, 1, ""), By: "ada"})
	refused(t, err, store.ErrNotFound, "Rule none does not exist on EventBus default.")
	_, err = d.PutTargets(ctx, route.PutTargets{Rule: "r", Targets: logs(0, 60, ""), By: "ada"})
	ok(t, err)
	_, err = d.PutTargets(ctx, route.PutTargets{Rule: "r", Targets: logs(60, 101, ""), By: "ada"})
	refused(t, err, nil, "at most 100 targets")
	if !fault.Is(err, fault.Exhausted) {
		t.Error(err)
	}
	_, err = d.PutTargets(ctx, route.PutTargets{Rule: "r", Targets: logs(0, 100, ""), By: "ada"})
	ok(t, err)
}

// TestTwoWritersOfARule: neither loses what the other put.
func TestTwoWritersOfARule(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	_, err := d.PutRule(t.Context(), route.PutRule{Name: "r", Pattern: anyBucket})
	ok(t, err)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if _, err := d.PutTargets(t.Context(), route.PutTargets{Rule: "r", Targets: []target.Target{{ID: fmt.Sprint(i), ARN: parryARN + "log/x"}}, By: "ada"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	have, _, err := d.Targets(t.Context(), "", "r", route.Paging{})
	if err != nil || len(have) != 4 {
		t.Errorf("%+v, %v", have, err)
	}
}

func TestTagsOfBusesAndRules(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	_, err := d.CreateBus(ctx, "orders", "", nil, "ada")
	ok(t, err)
	for _, bus := range []string{"", "orders"} {
		r, err := d.PutRule(ctx, route.PutRule{Bus: bus, Name: "r", Pattern: anyBucket, Tags: map[string]string{"a": "1", "b": "2"}})
		ok(t, err)
		ok(t, d.SetTags(ctx, r.ARN, map[string]string{"c": "3", "a": "4"}, []string{"b", "z"}, "ada"))
		got, err := d.Tags(ctx, r.ARN)
		ok(t, err)
		if diff := cmp.Diff(map[string]string{"a": "4", "c": "3"}, got); diff != "" {
			t.Error(diff)
		}
	}
	ok(t, d.SetTags(ctx, eventsARN+"event-bus/orders", map[string]string{"x": "y"}, nil, "ada"))
	got, err := d.Tags(ctx, eventsARN+"event-bus/orders")
	if err != nil || got["x"] != "y" {
		t.Errorf("%v, %v", got, err)
	}
	for _, arn := range []string{eventsARN + "event-bus/", eventsARN + "archive/a", eventsARN + "rule/", "arn:aws:events:eu-west-1:999999999999:rule/r", eventsARN + "rule/none", eventsARN + "event-bus/none", "x"} {
		_, err := d.Tags(ctx, arn)
		refused(t, err, store.ErrNotFound, "does not exist")
	}
}

func TestArchives(t *testing.T) {
	t.Parallel()
	d, s := newDesk(t)
	ctx := t.Context()
	bus := eventsARN + "event-bus/default"
	days, text := 7, anyBucket
	_, err := d.CreateArchive(ctx, "a", eventsARN+"event-bus/none", route.ArchiveChange{}, "ada")
	refused(t, err, store.ErrNotFound, "Event bus none does not exist.")
	broken := "{}"
	_, err = d.CreateArchive(ctx, "a", bus, route.ArchiveChange{Pattern: &broken}, "ada")
	refused(t, err, route.ErrPattern, "Event pattern is not valid")
	_, err = d.CreateArchive(ctx, "a", bus, route.ArchiveChange{Pattern: &text, RetentionDays: &days}, "ada")
	ok(t, err)
	_, err = d.CreateArchive(ctx, "a", bus, route.ArchiveChange{}, "ada")
	refused(t, err, store.ErrExists, "Archive a already exists.")
	said := "said"
	_, err = d.UpdateArchive(ctx, "a", route.ArchiveChange{Description: &said}, "ada")
	ok(t, err)
	a, err := d.Archive(ctx, "a")
	if err != nil || a.Pattern != anyBucket || a.Days != 7 || a.Description != "said" || a.Bus != "default" {
		t.Errorf("%+v, %v", a, err)
	}
	event := &store.BusEvent{Bus: "default", At: s.Clock().Now(), Since: s.Clock().Now(), Archives: []string{"a"}, Doc: []byte(`{"id":"1"}`)}
	ok(t, s.AppendEvents(ctx, "node", []*store.BusEvent{event}, store.Effects{}))
	n, bytes, err := d.ArchiveSize(ctx, "a")
	if err != nil || n != 1 || bytes == 0 {
		t.Errorf("%d events, %d bytes, %v", n, bytes, err)
	}
	for source, want := range map[string]int{"": 1, bus: 1} {
		page, _, err := d.Archives(ctx, source, route.Paging{})
		if err != nil || len(page) != want {
			t.Errorf("%q: %+v, %v", source, page, err)
		}
	}
	ok(t, d.DeleteArchive(ctx, "a", "ada"))
	if n, _, err := d.ArchiveSize(ctx, "a"); err != nil || n != 0 {
		t.Errorf("a deleted archive holds %d events, %v", n, err)
	}
	refused(t, d.DeleteArchive(ctx, "a", "ada"), store.ErrNotFound, "Archive a does not exist.")
}

func TestReplays(t *testing.T) {
	t.Parallel()
	d, _ := newDesk(t)
	ctx := t.Context()
	_, err := d.CreateArchive(ctx, "a", eventsARN+"event-bus/default", route.ArchiveChange{}, "ada")
	ok(t, err)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	start := route.StartReplay{Name: "r", Archive: eventsARN + "archive/a", Destination: eventsARN + "event-bus/default", From: noon, To: noon.Add(time.Hour), By: "ada"}
	for words, spoil := range map[string]func(*route.StartReplay){
		"Archive none does not exist.":              func(s *route.StartReplay) { s.Archive = eventsARN + "archive/none" },
		"Must contain an archive ARN":               func(s *route.StartReplay) { s.Archive = s.Destination },
		"Cross event bus replay is not permitted":   func(s *route.StartReplay) { s.Destination = eventsARN + "event-bus/x" },
		"EventStartTime must be before":             func(s *route.StartReplay) { s.To = s.From },
		"is not a rule of event bus default":        func(s *route.StartReplay) { s.Rules = []string{eventsARN + "rule/x/r"} },
		"Destination.FilterArns is not valid. Reas": func(s *route.StartReplay) { s.Rules = []string{"x"} },
		"Rule typo does not exist on EventBus":      func(s *route.StartReplay) { s.Rules = []string{eventsARN + "rule/typo"} },
		"only when no rules are named":              func(s *route.StartReplay) { s.Rules = []string{eventsARN + "rule/of-file"} },
		"a replay is for at most 100":               func(s *route.StartReplay) { s.Rules = slices.Repeat([]string{eventsARN + "rule/of-file"}, 101) },
	} {
		bad := start
		spoil(&bad)
		_, err := d.StartReplay(ctx, bad)
		refused(t, err, nil, words)
	}
	r, err := d.StartReplay(ctx, start)
	ok(t, err)
	if r.State != route.ReplayStarting || r.ARN != eventsARN+"replay/r" {
		t.Errorf("%+v", r)
	}
	_, err = d.StartReplay(ctx, start)
	refused(t, err, store.ErrExists, "Replay r already exists.")
	running, err := d.Running(ctx)
	if err != nil || len(running) != 1 {
		t.Fatalf("%+v, %v", running, err)
	}
	r = running[0]
	r.State, r.LastAt, r.LastSeq = route.ReplayRunning, noon, 7
	r, err = d.SaveReplay(ctx, r)
	ok(t, err)
	_, err = d.CancelReplay(ctx, "r", "bob")
	ok(t, err)
	_, err = d.SaveReplay(ctx, r) // who runs it learns that it is cancelled
	refused(t, err, store.ErrConflict, "")
	r, err = d.Replay(ctx, "r")
	if err != nil || r.State != route.ReplayCancelling || r.LastSeq != 7 {
		t.Fatalf("%+v, %v", r, err)
	}
	_, err = d.CancelReplay(ctx, "r", "bob")
	refused(t, err, route.ErrStatus, "not in a valid state")
	for i := range route.MaxRunning - 1 {
		start.Name = fmt.Sprint("more", i)
		_, err = d.StartReplay(ctx, start)
		ok(t, err)
	}
	start.Name = "over"
	_, err = d.StartReplay(ctx, start)
	if !fault.Is(err, fault.Exhausted) {
		t.Error(err)
	}
	r.State, r.EndedAt = route.ReplayCancelled, noon
	_, err = d.SaveReplay(ctx, r)
	ok(t, err)
	_, err = d.StartReplay(ctx, start)
	ok(t, err)
	page, _, err := d.Replays(ctx, route.ReplayCancelled, eventsARN+"archive/a", route.Paging{})
	if err != nil || len(page) != 1 || page[0].Name != "r" {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestTestPattern(t *testing.T) {
	t.Parallel()
	const event = `{"id":"1","account":"1","source":"aws.s3","time":"2026-03-01T12:00:00Z","region":"x","resources":[],"detail-type":"t","detail":{"a":1}}`
	for name, c := range map[string]struct {
		pattern, event string
		want           bool
		means          error
		words          string
	}{
		"matches":    {anyBucket, event, true, nil, ""},
		"does not":   {`{"source":["x"]}`, event, false, nil, ""},
		"no pattern": {`{"source":"x"}`, event, false, route.ErrPattern, "Event pattern is not valid"},
		"no event":   {anyBucket, `[`, false, nil, "Parameter Event is not valid"},
		"a list":     {anyBucket, `[]`, false, nil, "Parameter Event is not valid"},
		"lacks":      {anyBucket, `{"source":"aws.s3","id":"1"}`, false, nil, "it lacks account, time, region, resources, detail-type"},
	} {
		got, err := route.TestPattern(c.pattern, c.event)
		if got != c.want || (err == nil) != (c.words == "") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if c.words != "" {
			refused(t, err, c.means, c.words)
		}
	}
}
