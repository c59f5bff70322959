package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/ingest/organization"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
)

// Follower follows AWS Organizations.
type Follower interface {
	Status(ctx context.Context) (organization.Status, error)
	// Request asks for a reading, and gives the number of the attempt that does it.
	Request(acceptRemovals bool) int64
}

// Directory is what is stored of the organization.
type Directory interface {
	Member(ctx context.Context, id string) (org.Member, error)
	OrganizationChanges(ctx context.Context, account string, limit int, cursor string) ([]org.Change, string, error)
	ListCoverage(ctx context.Context, f store.CoverageFilter, limit int, cursor string) ([]org.Coverage, string, error)
	CoverageOf(ctx context.Context, accounts []string) ([]org.Coverage, error)
	CoverageCounts(ctx context.Context, accounts []string) (map[string]int64, error)
	Sightings(ctx context.Context, account string) ([]org.Sighting, error)
	Enqueue(ctx context.Context, f store.File, eff store.Effects) error
}

// Organization is how the organization is followed, and its accounts counted within
// the caller's.
type Organization struct {
	Followed          bool      `json:"followed" doc:"Whether AWS Organizations is read; else the accounts are those of parry.yaml."`
	ID                string    `json:"id,omitempty"`
	ManagementAccount string    `json:"management_account,omitempty"`
	Running           bool      `json:"running" doc:"Whether it is being read by this node now."`
	Attempts          int64     `json:"attempts" doc:"Readings that this node has ended, well or not."`
	SyncedAt          time.Time `json:"synced_at,omitzero" doc:"When all of it was last read and taken over."`
	Calls             int       `json:"calls,omitempty" doc:"Calls that it took."`
	Problem           string    `json:"problem,omitempty" doc:"What went wrong with the last reading. Its words are for callers that hold all accounts."`
	Hint              string    `json:"hint,omitempty"`
	ProblemAt         time.Time `json:"problem_at,omitzero"`
	// Held are accounts that a reading lacked.
	Held   []string  `json:"held,omitempty" doc:"Accounts that the last reading lacked, too many to be believed; for callers that hold all accounts."`
	HeldAt time.Time `json:"held_at,omitzero"`

	Accounts  map[string]int64 `json:"accounts" doc:"Accounts by their state; LISTED are those that only parry.yaml knows."`
	Coverage  map[string]int64 `json:"coverage" doc:"Regions of accounts by their coverage; those of accounts that are suspended or closed under idle."`
	CoveredAt time.Time        `json:"covered_at,omitzero" doc:"When coverage was last found out."`
}

// OrgAccount is an account of the organization.
type OrgAccount struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Unit        string            `json:"unit" doc:"Path of its organizational unit; / is the root; empty is not known."`
	UnitIDs     []string          `json:"unit_ids" nullable:"false" doc:"The root and the units that it is in, the root first."`
	State       string            `json:"state" enum:"PENDING_ACTIVATION,ACTIVE,SUSPENDED,PENDING_CLOSURE,CLOSED,LEFT,LISTED"`
	Listed      bool              `json:"listed" doc:"Whether parry.yaml lists it."`
	Tags        map[string]string `json:"tags" nullable:"false"`
	TagsUnknown bool              `json:"tags_unknown,omitempty" doc:"Whether its tags were not read yet."`
	Coverage    org.CoverageState `json:"coverage,omitempty" enum:"covered,degraded,lost,never,off" doc:"That of its worst region; off when all are turned off in it; absent where it was not found out."`
}

// OrgAccountDetail is an account with what happened to it.
type OrgAccountDetail struct {
	OrgAccount
	Joined    time.Time        `json:"joined,omitzero" doc:"When it joined the organization, as AWS has it."`
	FirstSeen time.Time        `json:"first_seen,omitzero"`
	LastSeen  time.Time        `json:"last_seen,omitzero" doc:"When it was last in the organization, for one that has left."`
	Regions   []CoverageRegion `json:"regions" nullable:"false"`
	Sources   []Sighting       `json:"sources" nullable:"false" doc:"When sources last brought something of it."`
	History   []AccountChange  `json:"history" nullable:"false" doc:"What happened to it, the latest first, at most 50."`
}

// CoverageRegion is what Parry can see and do in a region of an account.
type CoverageRegion struct {
	Account   string            `json:"account"`
	Name      string            `json:"name"`
	Region    string            `json:"region"`
	State     org.CoverageState `json:"state" enum:"covered,degraded,lost,never,off"`
	Since     time.Time         `json:"since"`
	Reason    org.Reach         `json:"reason" enum:"ok,role,policy,own_permission,account_state,unknown,source,silent,region_off,regions"`
	Detail    string            `json:"detail,omitempty" doc:"Untrusted text: it may be AWS's message."`
	Next      string            `json:"next,omitempty" doc:"What to do."`
	CheckedAt time.Time         `json:"checked_at"`
}

// Sighting is when a source last brought something of a region.
type Sighting struct {
	Region string    `json:"region"`
	Source string    `json:"source"`
	At     time.Time `json:"at"`
}

// AccountChange is one thing that happened to an account.
type AccountChange struct {
	At     time.Time      `json:"at" doc:"When Parry saw it."`
	Kind   org.ChangeKind `json:"kind" enum:"joined,moved,state,left,renamed,tagged"`
	Before string         `json:"before"`
	After  string         `json:"after"`
}

// SyncAsked says which attempt does what was asked for.
type SyncAsked struct {
	Attempt int64 `json:"attempt" doc:"The reading has ended when attempts of this node's organization has reached it."`
}

// stateListed stands for the state of an account that only parry.yaml knows.
const stateListed = "LISTED"

func orgAccountOf(a org.Account) OrgAccount {
	out := OrgAccount{ID: a.ID, Name: a.Name, Unit: a.Unit, UnitIDs: a.UnitIDs, State: string(a.State), Listed: a.Listed, Tags: a.Tags, TagsUnknown: a.TagsUnknown}
	if out.State == "" {
		out.State = stateListed
	}
	if out.UnitIDs == nil {
		out.UnitIDs = []string{}
	}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	return out
}

type orgAccountsInput struct {
	Paging
	State string `query:"state" enum:"PENDING_ACTIVATION,ACTIVE,SUSPENDED,PENDING_CLOSURE,CLOSED,LEFT,LISTED"`
	Unit  string `query:"unit" maxLength:"1024" doc:"Path or id of a unit; it has those below it."`
}

type orgAccountInput struct {
	ID string `path:"id" maxLength:"64"`
}

type coverageInput struct {
	Paging
	Account string `query:"account" maxLength:"64"`
	Region  string `query:"region" maxLength:"64"`
	State   string `query:"state" enum:"covered,degraded,lost,never,off"`
}

type syncInput struct {
	Body struct {
		AcceptRemovals bool `json:"accept_removals,omitempty" doc:"Take accounts that AWS no longer has for gone, however many they are."`
	}
}

func (a *API) registerOrganization() {
	const tag = "organization"
	register(a, operation{id: "get-organization", method: http.MethodGet, path: "/v1/organization", summary: "How the organization is followed, and its accounts counted", tag: tag}, auth.OrganizationRead, a.getOrganization)
	register(a, operation{id: "list-organization-accounts", method: http.MethodGet, path: "/v1/organization/accounts", summary: "List accounts, by id", tag: tag}, auth.OrganizationRead, a.listOrgAccounts)
	register(a, operation{id: "get-organization-account", method: http.MethodGet, path: "/v1/organization/accounts/{id}", summary: "Show an account, what of it is covered and what happened to it", tag: tag}, auth.OrganizationRead, a.getOrgAccount)
	register(a, operation{id: "list-coverage", method: http.MethodGet, path: "/v1/organization/coverage", summary: "List what Parry can see and do in regions of accounts, what is lost first", tag: tag}, auth.OrganizationRead, a.listCoverage)
	register(a, operation{id: "sync-organization", method: http.MethodPost, path: "/v1/organization/sync", summary: "Read the organization, and find out coverage, now", tag: tag, status: http.StatusAccepted}, auth.OrganizationSync, a.syncOrganization)
}

func (a *API) getOrganization(ctx context.Context, p auth.Principal, _ *struct{}) (*struct{ Body Organization }, error) {
	s, err := a.cfg.Follower.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := Organization{
		Followed: a.cfg.Followed, ID: s.Organization, ManagementAccount: s.Management, Running: s.Running, Attempts: s.Attempts, SyncedAt: s.SyncedAt, Calls: s.Calls,
		Problem: s.Problem, Hint: s.Hint, ProblemAt: s.ProblemAt, Held: s.Held, HeldAt: s.HeldAt, Accounts: map[string]int64{}, CoveredAt: s.CoveredAt,
	}
	if !p.Covers(auth.All) { // the words name accounts
		out.Held, out.Hint, out.ManagementAccount = nil, "", ""
		if out.Problem != "" {
			out.Problem = "the last reading went wrong"
		}
	}
	for _, one := range a.cfg.Accounts() {
		if p.Covers(one.ID) {
			out.Accounts[orgAccountOf(one).State]++
		}
	}
	out.Coverage, err = a.cfg.Directory.CoverageCounts(ctx, auth.Scope(p))
	return &struct{ Body Organization }{out}, err
}

func (a *API) listOrgAccounts(ctx context.Context, p auth.Principal, in *orgAccountsInput) (*page[OrgAccount], error) {
	items, next := []OrgAccount{}, ""
	all := a.cfg.Accounts()
	from, found := slices.BinarySearchFunc(all, in.Cursor, func(o org.Account, id string) int { return strings.Compare(o.ID, id) })
	if found {
		from++
	}
	for _, o := range all[from:] {
		one := orgAccountOf(o)
		if !p.Covers(o.ID) || in.State != "" && one.State != in.State || !inUnit(o, in.Unit) {
			continue
		}
		if len(items) == in.Limit {
			next = items[len(items)-1].ID
			break
		}
		items = append(items, one)
	}
	return pageOf(items, next), a.addCoverage(ctx, items)
}

// inUnit reports whether o stands in a unit, or below it.
func inUnit(o org.Account, unit string) bool {
	unit = strings.Trim(unit, "/")
	return unit == "" || slices.Contains(org.UnitPath(o.Unit), unit) || slices.Contains(o.UnitIDs, unit)
}

// addCoverage gives each of items the coverage of its worst region.
func (a *API) addCoverage(ctx context.Context, items []OrgAccount) error {
	at := make(map[string]*OrgAccount, len(items))
	ids := make([]string, 0, len(items))
	for i := range items {
		at[items[i].ID] = &items[i]
		ids = append(ids, items[i].ID)
	}
	all, err := a.cfg.Directory.CoverageOf(ctx, ids)
	if err != nil {
		return err
	}
	for _, c := range all {
		if o := at[c.Account]; o != nil && (o.Coverage == "" || c.State.Worse(o.Coverage)) {
			o.Coverage = c.State
		}
	}
	return nil
}

func (a *API) account(id string) (org.Account, bool) {
	all := a.cfg.Accounts()
	i, ok := slices.BinarySearchFunc(all, id, func(o org.Account, id string) int { return strings.Compare(o.ID, id) })
	if !ok {
		return org.Account{}, false
	}
	return all[i], true
}

func (a *API) getOrgAccount(ctx context.Context, p auth.Principal, in *orgAccountInput) (*struct{ Body OrgAccountDetail }, error) {
	const history = 50
	o, ok := a.account(in.ID)
	if !ok || !p.Covers(o.ID) {
		return nil, notFound("account", in.ID, "list them: parry org list")
	}
	out := OrgAccountDetail{OrgAccount: orgAccountOf(o), Regions: []CoverageRegion{}, Sources: []Sighting{}, History: []AccountChange{}}
	m, err := a.cfg.Directory.Member(ctx, o.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	out.Joined, out.FirstSeen = m.Joined, m.FirstSeen
	if o.State == org.Left {
		out.LastSeen = m.LastSeen
	}
	regions, err := a.cfg.Directory.CoverageOf(ctx, []string{o.ID})
	if err != nil {
		return nil, err
	}
	for _, c := range regions {
		out.Regions = append(out.Regions, a.regionOf(c))
		if out.Coverage == "" || c.State.Worse(out.Coverage) {
			out.Coverage = c.State
		}
	}
	seen, err := a.cfg.Directory.Sightings(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	for _, x := range seen {
		out.Sources = append(out.Sources, Sighting{x.Region, x.Source, x.At})
	}
	changes, _, err := a.cfg.Directory.OrganizationChanges(ctx, o.ID, history, "")
	for _, c := range changes {
		out.History = append(out.History, AccountChange{c.At, c.Kind, c.Before, c.After})
	}
	return &struct{ Body OrgAccountDetail }{out}, err
}

func (a *API) regionOf(c org.Coverage) CoverageRegion {
	o, _ := a.account(c.Account)
	return CoverageRegion{c.Account, o.Name, c.Region, c.State, c.Since, c.Reason, c.Detail, c.Next, c.CheckedAt}
}

func (a *API) listCoverage(ctx context.Context, p auth.Principal, in *coverageInput) (*page[CoverageRegion], error) {
	f := store.CoverageFilter{Accounts: auth.Scope(p), Account: in.Account, Region: in.Region, State: in.State}
	found, next, err := a.cfg.Directory.ListCoverage(ctx, f, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	items := make([]CoverageRegion, 0, len(found))
	for _, c := range found {
		items = append(items, a.regionOf(c))
	}
	return pageOf(items, next), nil
}

func (a *API) syncOrganization(ctx context.Context, p auth.Principal, in *syncInput) (*struct{ Body SyncAsked }, error) {
	action, name := auth.OrganizationSync, "organization.sync.asked"
	if in.Body.AcceptRemovals {
		action, name = auth.OrganizationAccept, "organization.removals.accepted"
	}
	if err := auth.Authorize(p, action, auth.All); err != nil {
		return nil, err
	}
	if !a.cfg.Followed && !a.cfg.Covered {
		return nil, fault.Errorf(fault.Conflict, "", "neither is AWS Organizations read nor coverage found out").
			WithHint("set organization.sync.enabled or organization.coverage.every in parry.yaml")
	}
	s, err := a.cfg.Follower.Status(ctx)
	if err != nil {
		return nil, err
	}
	detail, err := json.Marshal(map[string]any{"held": s.Held})
	if err != nil {
		return nil, err
	}
	err = a.cfg.Directory.Enqueue(ctx, store.Execution, store.Effects{Audit: []store.AuditRecord{{At: a.cfg.Clock.Now(), Actor: p.Name, Action: name, Object: "organization", Detail: detail}}})
	if err != nil {
		return nil, err
	}
	return &struct{ Body SyncAsked }{SyncAsked{a.cfg.Follower.Request(in.Body.AcceptRemovals)}}, nil
}
