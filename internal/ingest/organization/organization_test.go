package organization_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/ingest/organization"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/triage"
)

// same compares what is shown with what should be.
func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestTheOrganizationIsFollowed goes through the life of an account.
func TestTheOrganizationIsFollowed(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.aws.tags[prod] = map[string]string{"Tier": "1"}
	if err := w.Round(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	// The first reading is where Parry begins: nothing is told.
	same(t, "at first", []string{}, w.told())
	same(t, "dev", "dev ACTIVE map[]", w.account(dev))
	same(t, "a slash in a unit's name is no step down", "prod/pay%2Fments ACTIVE map[Tier:1]", w.account(prod))
	same(t, "management", "/ ACTIVE map[]", w.account(management))
	m, err := w.store.Member(t.Context(), prod)
	same(t, "units", []string{root, "ou-abcd-prodprod", "ou-abcd-paypaypa"}, m.UnitIDs)
	if err != nil || m.Joined.Year() != 2025 {
		t.Errorf("joined %s, %v", m.Joined, err)
	}
	w.clock.Advance(time.Minute)
	w.synced()
	same(t, "nothing happened", []string{}, w.told())

	const fresh = "333333333333"
	w.aws.move(fresh, "ou-abcd-devdevde")
	w.synced()
	same(t, "joined", []string{"Parry Account Joined " + fresh}, w.told())
	same(t, "joined", "dev ACTIVE map[]", w.account(fresh))
	w.aws.move(fresh, "ou-abcd-prodprod")
	w.synced()
	same(t, "moved", []string{"Parry Account Moved " + fresh}, w.told())
	w.aws.names["ou-abcd-prodprod"] = "production"
	w.synced()
	same(t, "a unit has another name", []string{"Parry Account Moved " + prod, "Parry Account Moved " + fresh}, w.told())
	for _, s := range []string{"SUSPENDED", "PENDING_CLOSURE", "CLOSED"} {
		w.aws.state[fresh] = s
		w.synced()
		same(t, s, []string{"Parry Account Suspended " + fresh}, without(w.told(), "Coverage"))
	}
	w.aws.state[fresh] = "ACTIVE"
	w.synced()
	same(t, "active", []string{"Parry Account Activated " + fresh}, without(w.told(), "Coverage"))
	w.aws.move(fresh, "")
	w.synced()
	same(t, "left", []string{"Parry Account Left " + fresh}, w.told())
	same(t, "one that left is known", "production LEFT map[]", w.account(fresh))
	w.synced()
	same(t, "told once", []string{}, w.told())
	w.aws.move(fresh, root)
	w.synced()
	same(t, "back", []string{"Parry Account Joined " + fresh, "Parry Account Moved " + fresh}, w.told())
	w.aws.tags[fresh] = map[string]string{"Tier": "2"}
	w.synced()
	same(t, "tagged", "/ ACTIVE map[Tier:2]", w.account(fresh))
	changes, _, err := w.store.OrganizationChanges(t.Context(), fresh, 50, "")
	var kinds []string
	for _, c := range changes {
		kinds = append(kinds, string(c.Kind))
	}
	same(t, "history", "tagged moved joined left state state state state moved moved joined", strings.Join(kinds, " "))
	if err != nil {
		t.Error(err)
	}
}

func without(list []string, word string) []string {
	out := []string{}
	for _, s := range list {
		if !strings.Contains(s, word) {
			out = append(out, s)
		}
	}
	return out
}

// TestStatusIsReadWhereThereIsNoState: the member's older name.
func TestStatusIsReadWhereThereIsNoState(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.aws.statuses, w.aws.state[dev] = true, "SUSPENDED"
	w.synced()
	same(t, "dev", "dev SUSPENDED map[]", w.account(dev))
}

// TestFindingsAreRankedAnewWhereAccountsChange asks for it after a move, tags and a
// new state, and not for those that stay.
func TestFindingsAreRankedAnewWhereAccountsChange(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.synced()
	w.clock.Advance(time.Hour)
	if got := len(w.taken(triage.TopicRank)); got != 3 {
		t.Errorf("%d requests after the first reading", got)
	}
	w.aws.move(dev, "ou-abcd-prodprod")
	w.Request(false)
	if err := w.Round(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	same(t, "not before every node knows", 0, len(w.taken(triage.TopicRank)))
	w.clock.Advance(time.Hour)
	same(t, "requests", fmt.Sprintf(`[{"account":"%s","mark":"3"}]`, dev), fmt.Sprintf("%s", w.taken(triage.TopicRank)))
	w.aws.tags[dev] = map[string]string{"a": "b"}
	w.synced()
	w.clock.Advance(time.Hour)
	same(t, "requests after tags", 1, len(w.taken(triage.TopicRank)))
}

// TestAReadingThatBrokeOffChangesNothing ends the reading at each of its calls.
func TestAReadingThatBrokeOffChangesNothing(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.synced()
	w.told()
	structure := w.status().Calls
	w.aws.move(dev, "")
	w.aws.move("333333333333", root)
	for call := 1; call <= structure+1; call++ { // the last asks for the account that is missing
		w.aws.calls, w.aws.failAt = 0, call
		if err := w.sync(); err == nil || w.status().Problem == "" {
			t.Errorf("the failure of call %d is not told", call)
		}
		same(t, fmt.Sprintf("dev after a failure of call %d", call), "dev ACTIVE map[]", w.account(dev))
		same(t, "the new one", "unknown", w.account("333333333333"))
	}
	w.aws.failAt = 0
	w.synced()
	same(t, "dev", "dev LEFT map[]", w.account(dev))
	if s := w.status(); s.Problem != "" {
		t.Errorf("%+v", s)
	}
}

// TestAListingThatLacksAnAccountDoesNotRemoveIt: AWS is asked for that very account.
func TestAListingThatLacksAnAccountDoesNotRemoveIt(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.synced()
	w.aws.hidden[dev] = true
	w.synced()
	same(t, "dev", "dev ACTIVE map[]", w.account(dev))
	same(t, "events", []string{}, w.told())
	if w.aws.byName["DescribeAccount"] != 1 {
		t.Errorf("%v", w.aws.byName)
	}
}

// TestManyMissingAccountsAreNotBelieved: a fifth and more than ten, until an
// administrator says so.
func TestManyMissingAccountsAreNotBelieved(t *testing.T) {
	t.Parallel()
	w := begin(t)
	for i := range 40 {
		w.aws.move(fmt.Sprintf("4000000000%02d", i), "ou-abcd-devdevde")
	}
	w.synced()
	for i := range 11 {
		w.aws.move(fmt.Sprintf("4000000000%02d", i), "")
	}
	w.aws.move("555500005555", root)
	refused(t, w.sync(), fault.Conflict, "parry org sync --accept-removals")
	if s := w.status(); len(s.Held) != 11 || s.HeldAt.IsZero() {
		t.Errorf("held %v", s.Held)
	}
	same(t, "one of them", "dev ACTIVE map[]", w.account("400000000000"))
	same(t, "nothing of that reading is taken over", "unknown", w.account("555500005555"))
	same(t, "AWS is not asked for each", 0, w.aws.byName["DescribeAccount"])
	same(t, "events", []string{}, without(w.told(), "Coverage"))
	w.Request(true)
	if err := w.Round(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	same(t, "events", 12, len(without(w.told(), "Coverage")))
	if s := w.status(); len(s.Held) != 0 || s.Problem != "" {
		t.Errorf("%+v", s)
	}
	// The word holds once. Ten are few enough.
	for i := 11; i < 21; i++ {
		w.aws.move(fmt.Sprintf("4000000000%02d", i), "")
	}
	w.clock.Advance(time.Minute)
	w.synced()
}

// TestAReadingThatWentWrongIsTriedAgain soon: an event must not wait for an hour.
func TestAReadingThatWentWrongIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *organization.Config) { c.Organization.Coverage.Every = -1 })
	w.synced()
	w.aws.calls, w.aws.failAt = 0, 2
	if err := w.sync(); err == nil {
		t.Fatal("the failure is not told")
	}
	w.aws.move("333333333333", root)
	if err := w.Round(t.Context(), false); err != nil || w.account("333333333333") != "unknown" {
		t.Errorf("at once: %v", err)
	}
	w.clock.Advance(5 * time.Minute)
	if err := w.Round(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	same(t, "after five minutes", "/ ACTIVE map[]", w.account("333333333333"))
	// Of tags that could not be read, too.
	w.aws.calls, w.aws.failAt = 0, w.status().Calls+2
	if err := w.sync(); err == nil || !strings.Contains(w.status().Problem, "tags") {
		t.Errorf("%v %+v", err, w.status())
	}
}

// TestAnotherOrganizationIsNotTakenOver: credentials of another one were given.
func TestAnotherOrganizationIsNotTakenOver(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.synced()
	w.aws.manager = "777788889999"
	w.aws.move(dev, "")
	refused(t, w.sync(), fault.Conflict, "its management account is 777788889999")
	same(t, "dev", "dev ACTIVE map[]", w.account(dev))
	w.aws.manager = management
	w.aws.hidden[management] = true
	refused(t, w.sync(), fault.Unavailable, "not complete")
}

// TestWhatIsListedWins: parry.yaml says name, unit and tags, AWS says the state.
func TestWhatIsListedWins(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *organization.Config) {
		c.Organization.Accounts = []org.Account{
			{ID: dev, Unit: "mine", Tags: map[string]string{"x": "y"}},
			{ID: "666666666666", Name: "elsewhere"},
		}
	})
	w.aws.state[dev] = "SUSPENDED"
	w.synced()
	same(t, "dev", "mine SUSPENDED map[x:y]", w.account(dev))
	same(t, "one that AWS does not have", "  map[]", w.account("666666666666"))
	a, _ := w.live.Account(dev)
	b, _ := w.live.Account(prod)
	if !a.Listed || b.Listed || a.Name != "account "+dev {
		t.Errorf("%+v %+v", a, b)
	}
	suspended, _ := w.live.Membership(dev)
	id, path := w.live.Membership(prod)
	if suspended != "" || id != "o-abcdefghij" || path != id+"/"+strings.Join(b.UnitIDs, "/")+"/" {
		t.Errorf("prod is of %s, %s; dev of %q", id, path, suspended)
	}
	again := org.NewLive([]org.Account{b})
	if err := organization.LoadID(t.Context(), w.store, again); err != nil {
		t.Fatal(err)
	}
	if other, _ := again.Membership(prod); other != id {
		t.Errorf("another node takes prod for one of %q", other)
	}
}

// TestAnotherProcessGoesOn: one that was killed after any of its transactions leaves
// what holds, and the next tells what is left to tell, once.
func TestAnotherProcessGoesOn(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.synced()
	w.told()
	w.aws.move("333333333333", root)
	w.aws.move(dev, "ou-abcd-prodprod")
	// Another process has read the same meanwhile: the second must not tell it again.
	other := w.cfg
	other.Owner = "other"
	second, err := organization.New(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Round(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Hour)
	w.restart()
	w.synced()
	same(t, "events", []string{"Parry Account Joined 333333333333", "Parry Account Moved " + dev}, w.told())
	same(t, "dev", "prod ACTIVE map[]", w.account(dev))
}

// TestOneNodeReads: while another has the lease nothing is read, and what was asked
// for is done afterwards.
func TestOneNodeReads(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *organization.Config) { c.Shared = true })
	if mine, err := w.store.AcquireLease(t.Context(), "organization", "another", time.Minute); err != nil || !mine {
		t.Fatal(err)
	}
	w.Request(false)
	if err := w.Round(t.Context(), false); err != nil || w.aws.calls != 0 {
		t.Errorf("%d calls, %v", w.aws.calls, err)
	}
	w.clock.Advance(2 * time.Minute)
	if err := w.Round(t.Context(), false); err != nil || w.aws.calls == 0 {
		t.Errorf("%d calls, %v", w.aws.calls, err)
	}
	// A node that has nothing to do takes over what another has read.
	other := w.cfg
	other.Owner, other.Live = "other", org.NewLive(nil)
	second, err := organization.New(other)
	if err != nil {
		t.Fatal(err)
	}
	unit := func() string { a, _ := other.Live.Account(dev); return a.Unit }
	calls := w.aws.calls
	for _, want := range []string{"dev", "prod"} {
		if err := second.Round(t.Context(), false); err != nil || unit() != want || w.aws.calls != calls {
			t.Errorf("unit %q, want %q, after %d calls: %v", unit(), want, w.aws.calls-calls, err)
		}
		w.aws.move(dev, "ou-abcd-prodprod")
		w.synced()
		calls = w.aws.calls
	}
}

func event(account, name string, more ...string) []byte {
	detail := map[string]any{"eventSource": "organizations.amazonaws.com", "eventName": name, "readOnly": false}
	for _, m := range more {
		k, v, _ := strings.Cut(m, "=")
		detail[k] = v
	}
	if detail["readOnly"] == "true" {
		detail["readOnly"] = true
	}
	raw, err := json.Marshal(map[string]any{"version": "0", "source": "aws.organizations", "detail-type": "AWS API Call via CloudTrail", "account": account, "detail": detail})
	if err != nil {
		panic(err)
	}
	return raw
}

// TestEventsMakeItRead: once, when it is quiet; not for what is read, refused, or
// sent by a stranger; and not more often than every twenty seconds.
func TestEventsMakeItRead(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *organization.Config) { c.Organization.Coverage.Every = -1 })
	w.synced()
	before := w.aws.calls
	read := func(want bool) {
		t.Helper()
		w.aws.mu.Lock()
		w.aws.calls = before
		w.aws.mu.Unlock()
		if err := w.Round(t.Context(), false); err != nil || (w.aws.calls > before) != want {
			t.Errorf("%d calls, want some: %v; %v", w.aws.calls-before, want, err)
		}
	}
	for _, e := range [][]byte{
		event(management, "DescribeAccount", "readOnly=true"), event(management, "MoveAccount", "errorCode=AccessDenied"), event("123123123123", "MoveAccount"),
		event(management, "MoveAccount", "eventSource=iam.amazonaws.com"), []byte(`{"detail":"organizations.amazonaws.com"}`), []byte(`organizations.amazonaws.com`),
	} {
		w.Notice(e)
	}
	w.clock.Advance(10 * time.Second)
	read(false)
	w.Notice(event(management, "MoveAccount"))
	read(false)
	w.clock.Advance(3 * time.Second)
	w.Notice(event(management, "CreateAccountResult"))
	w.clock.Advance(3 * time.Second)
	read(false)
	w.clock.Advance(2 * time.Second)
	read(true)
	read(false)
	w.Notice(event(dev, "LeaveOrganization"))
	w.clock.Advance(10 * time.Second)
	read(false) // too soon after the last
	w.clock.Advance(10 * time.Second)
	read(true)
	// Events without end do not put it off without end.
	w.clock.Advance(time.Minute)
	for range 16 {
		w.Notice(event(management, "TagResource"))
		w.clock.Advance(4 * time.Second)
	}
	read(true)
}

// TestTheTagsOfAnAccountThatWasTaggedAreReadFirst, beside those that were never read;
// the rest as many as there is time for.
func TestTheTagsOfAnAccountThatWasTaggedAreReadFirst(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *organization.Config) { c.Organization.Coverage.Every = -1 })
	for i := range 1200 {
		w.aws.move(fmt.Sprintf("40000000%04d", i), "ou-abcd-devdevde")
	}
	w.synced()
	if got := w.aws.byName["ListTagsForResource"]; got != 1203 {
		t.Errorf("%d accounts' tags were read at first", got)
	}
	w.aws.byName["ListTagsForResource"] = 0
	w.synced()
	if got := w.aws.byName["ListTagsForResource"]; got != 1000 {
		t.Errorf("%d accounts' tags were read then", got)
	}
	last := "400000000000" // read just now, the longest ago are others
	w.aws.tags[last] = map[string]string{"a": "b"}
	w.Notice(event(management, "TagResource"))
	raw := strings.Replace(string(event(management, "TagResource")), `"readOnly"`, `"requestParameters":{"resourceId":"`+last+`"},"readOnly"`, 1)
	w.Notice([]byte(raw))
	w.clock.Advance(time.Minute)
	if err := w.Round(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	same(t, "tags", "dev ACTIVE map[a:b]", w.account(last))
}

// TestTenThousandAccounts bounds calls and time of a large organization.
func TestTenThousandAccounts(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a while")
	}
	t.Parallel()
	w := begin(t)
	const n, units = 10_000, 200
	for u := range units {
		id := fmt.Sprintf("ou-abcd-unit%04d", u)
		w.aws.units[root], w.aws.names[id] = append(w.aws.units[root], id), fmt.Sprintf("unit%d", u)
		for i := range n / units {
			w.aws.at[id] = append(w.aws.at[id], fmt.Sprintf("5%011d", u*(n/units)+i))
		}
	}
	began := time.Now() //nolint:forbidigo // it is what is measured
	w.synced()
	first := time.Since(began)
	s := w.status()
	// A page for every 20 accounts, two listings for every unit.
	if s.Calls > n/20+3*units {
		t.Errorf("%d calls", s.Calls)
	}
	tags := w.aws.byName["ListTagsForResource"]
	began = time.Now() //nolint:forbidigo // it is what is measured
	w.synced()
	again := time.Since(began)
	t.Logf("%d accounts in %d units: %d calls and %d for tags, %s; again %d calls and %d for tags, %s", n, units, s.Calls, tags, first.Round(time.Millisecond), w.status().Calls, w.aws.byName["ListTagsForResource"]-tags, again.Round(time.Millisecond))
	if again > 20*time.Second || w.aws.byName["ListTagsForResource"]-tags > 1000 {
		t.Errorf("%s, %d calls for tags", again, w.aws.byName["ListTagsForResource"]-tags)
	}
}

// TestTheServiceStops while it reads, in the background.
func TestTheServiceStops(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *organization.Config) { c.Clock = service.SystemClock{} })
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	attempt := w.Request(false)
	for w.status().Attempts < attempt {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := errors.Join(w.Stop(ctx), w.Stop(ctx)); err != nil {
		t.Error(err)
	}
}
