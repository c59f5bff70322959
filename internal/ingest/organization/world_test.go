package organization_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/ingest/organization"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/triage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	management = "999988887777"
	dev, prod  = "111111111111", "222222222222"
	region     = "eu-west-1"
	optIn      = "eu-south-1" // which nobody turned on at first
	root       = "r-abcd"
)

// aws is AWS Organizations and STS, in pages of its own size.
type aws struct {
	mu       sync.Mutex
	units    map[string][]string // parent -> units
	names    map[string]string
	at       map[string][]string // parent -> accounts
	state    map[string]string
	tags     map[string]map[string]string
	manager  string
	calls    int
	byName   map[string]int
	failAt   int
	hidden   map[string]bool // lists lack it, though it is there
	refuse   map[string]error
	on       map[string]map[string]bool // Regions, where they are others than by default
	mute     map[string]error           // why an account does not say which are on
	onReach  func()
	statuses bool // Status, as before State was there
}

func newAWS() *aws {
	return &aws{
		units: map[string][]string{root: {"ou-abcd-devdevde", "ou-abcd-prodprod"}, "ou-abcd-prodprod": {"ou-abcd-paypaypa"}},
		names: map[string]string{"ou-abcd-devdevde": "dev", "ou-abcd-prodprod": "prod", "ou-abcd-paypaypa": "pay/ments"},
		at:    map[string][]string{root: {management}, "ou-abcd-devdevde": {dev}, "ou-abcd-paypaypa": {prod}},
		state: map[string]string{}, tags: map[string]map[string]string{}, manager: management, byName: map[string]int{}, hidden: map[string]bool{}, refuse: map[string]error{},
		on: map[string]map[string]bool{}, mute: map[string]error{},
	}
}

func (a *aws) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	a.byName[c.Operation]++
	if a.calls == a.failAt {
		return apimodel.Reply{}, errors.New("the network is gone")
	}
	in := func(k string) string { s, _ := c.Input[k].(string); return s }
	var items []any
	var member string
	switch c.Operation {
	case "DescribeOrganization":
		return apimodel.Reply{Output: map[string]any{"Organization": map[string]any{"Id": "o-abcdefghij", "MasterAccountId": a.manager}}}, nil
	case "ListRoots":
		member, items = "Roots", []any{map[string]any{"Id": root, "Name": "Root"}}
	case "ListOrganizationalUnitsForParent":
		member = "OrganizationalUnits"
		for _, id := range a.units[in("ParentId")] {
			items = append(items, map[string]any{"Id": id, "Name": a.names[id]})
		}
	case "ListAccountsForParent":
		member = "Accounts"
		for _, id := range a.at[in("ParentId")] {
			if !a.hidden[id] {
				items = append(items, a.account(id))
			}
		}
	case "DescribeAccount":
		for _, list := range a.at {
			if slices.Contains(list, in("AccountId")) {
				return apimodel.Reply{Output: map[string]any{"Account": a.account(in("AccountId"))}}, nil
			}
		}
		return apimodel.Reply{}, &apimodel.APIError{Code: "AccountNotFoundException", HTTPStatus: 400}
	case "ListTagsForResource":
		member = "Tags"
		for k, v := range a.tags[in("ResourceId")] {
			items = append(items, map[string]any{"Key": k, "Value": v})
		}
	default:
		return apimodel.Reply{}, fmt.Errorf("called %s:%s", c.Service, c.Operation)
	}
	size, from := 20, 0
	if n, ok := c.Input["MaxResults"].(int); ok {
		size = n
	}
	if token := in("NextToken"); token != "" {
		from, _ = strconv.Atoi(token)
	}
	to := min(from+size, len(items))
	out := map[string]any{member: items[from:to]}
	if to < len(items) {
		out["NextToken"] = strconv.Itoa(to)
	}
	return apimodel.Reply{Output: out}, nil
}

func (a *aws) account(id string) map[string]any {
	state := a.state[id]
	if state == "" {
		state = "ACTIVE"
	}
	m := map[string]any{"Id": id, "Name": "account " + id, "JoinedTimestamp": time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)}
	if a.statuses {
		m["Status"] = state
	} else {
		m["State"] = state
	}
	return m
}

func (a *aws) Reach(_ context.Context, account string) (organization.Inside, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.onReach != nil {
		a.onReach()
	}
	return inside{a, account}, a.refuse[account]
}

// inside is an account that was entered.
type inside struct {
	a       *aws
	account string
}

func (i inside) Regions(context.Context) (map[string]bool, error) {
	i.a.mu.Lock()
	defer i.a.mu.Unlock()
	i.a.byName["DescribeRegions"]++
	switch err := i.a.mute[i.account]; {
	case err != nil:
		return nil, err
	case i.a.on[i.account] == nil:
		return map[string]bool{region: true, optIn: false}, nil
	}
	return i.a.on[i.account], nil
}

// move puts an account under another parent; "" takes it out of the organization.
func (a *aws) move(account, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, list := range a.at {
		a.at[p] = slices.DeleteFunc(list, func(id string) bool { return id == account })
	}
	if to != "" {
		a.at[to] = append(a.at[to], account)
	}
}

// forbidden is STS's refusal.
func forbidden(message string) error {
	return &apimodel.APIError{Code: "AccessDenied", Message: message, HTTPStatus: 403}
}

// watch is a follower with its surroundings.
type watch struct {
	*organization.Follower
	t     *testing.T
	aws   *aws
	store *store.Store
	clock *service.FixedClock
	live  *org.Live
	cfg   organization.Config
	feeds []org.Feed
}

func begin(t *testing.T, edits ...func(*organization.Config)) *watch {
	t.Helper()
	s := storetest.SQLite(t)
	clock, ok := s.Clock().(*service.FixedClock)
	if !ok {
		t.Fatal("no fixed clock")
	}
	w := &watch{t: t, aws: newAWS(), store: s, clock: clock, live: org.NewLive(nil)}
	w.cfg = organization.Config{
		Organization: org.Organization{Partition: "aws", HomeRegion: region, ManagementAccount: management, HubAccount: "555566667777", MemberRole: "ParryMemberRole", Sync: org.Sync{Enabled: true}},
		Live:         w.live, Store: s, Caller: w.aws, Reach: w.aws.Reach, Regions: []string{region}, Feeds: func() []org.Feed { return w.feeds },
		Rank: triage.RankAccount, Ranks: true, Owner: "node", Clock: clock,
	}
	for _, edit := range edits {
		edit(&w.cfg)
	}
	w.restart()
	return w
}

// restart is another process on the same database.
func (w *watch) restart() {
	w.t.Helper()
	var err error
	if w.Follower, err = organization.New(w.cfg); err != nil {
		w.t.Fatal(err)
	}
}

// sync has the organization read as somebody who asks for it does.
func (w *watch) sync() error {
	w.t.Helper()
	w.Request(false)
	err := w.Round(w.t.Context(), false)
	w.clock.Advance(time.Minute)
	return err
}

func (w *watch) synced() {
	w.t.Helper()
	if err := w.sync(); err != nil {
		w.t.Fatal(err)
	}
}

// account shows one in a line: unit, state, tags.
func (w *watch) account(id string) string {
	a, ok := w.live.Account(id)
	if !ok {
		return "unknown"
	}
	tags := fmt.Sprint(a.Tags)
	if a.TagsUnknown {
		tags = "?"
	}
	return strings.Join([]string{a.Unit, string(a.State), tags}, " ")
}

// told takes the events of the outbox that were not taken yet, as
// "Detail type account".
func (w *watch) told() []string {
	w.t.Helper()
	out := []string{}
	for _, raw := range w.taken(store.TopicEvent) {
		var list []pattern.Envelope
		if json.Unmarshal(raw, &list) != nil {
			list = make([]pattern.Envelope, 1)
			if err := json.Unmarshal(raw, &list[0]); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, e := range list {
			out = append(out, e.DetailType+" "+e.Account)
		}
	}
	slices.Sort(out)
	return out
}

// taken takes the messages of a topic out of the outbox.
func (w *watch) taken(topic string) []json.RawMessage {
	w.t.Helper()
	due, err := w.store.ClaimMessages(w.t.Context(), store.Findings, []string{topic}, 10_000, "test", 10_000*time.Hour)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []json.RawMessage
	for _, m := range due {
		out = append(out, m.Payload)
	}
	return out
}

func (w *watch) status() organization.Status {
	w.t.Helper()
	s, err := w.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// covered shows coverage as "account state reason".
func (w *watch) covered() []string {
	w.t.Helper()
	all, err := w.store.Coverage(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	out := []string{}
	for _, c := range all {
		out = append(out, fmt.Sprintf("%s %s %s", c.Account, c.State, c.Reason))
	}
	return out
}

func refused(t *testing.T, err error, code fault.Code, words string) {
	t.Helper()
	if !fault.Is(err, code) || !strings.Contains(err.Error()+fault.HintOf(err), words) {
		t.Errorf("%v (%s), want %s: … %s …", err, fault.HintOf(err), code, words)
	}
}
