package organization

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// What is read at most. AWS's own limits are 2,000 units, five deep, and by default
// fewer accounts than this.
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
const (
	maxUnits    = 5_000
	maxAccounts = 50_000
	maxPages    = 10_000 // of one listing
	pageSize    = 20     // the most that Organizations gives
	maxPath     = 900    // bytes of a unit's path
)

// step names the calls in the record.
const step = "organization"

// reading is the organization at about one moment.
type reading struct {
	id, management string
	accounts       []org.Account
	joined         map[string]time.Time
	calls          int
}

// unit is one whose accounts and units are to be listed.
type unit struct {
	ids  []string // the root first, its own last
	path string
}

// read reads all of it, or fails.
func (f *Follower) read(ctx context.Context) (*reading, error) {
	r := &reading{joined: map[string]time.Time{}}
	reply, err := f.call(ctx, r, "DescribeOrganization", map[string]any{})
	if err != nil {
		return r, err
	}
	o, _ := reply["Organization"].(map[string]any)
	r.id, r.management = str(o, "Id"), str(o, "MasterAccountId")
	if want := f.cfg.Organization.ManagementAccount; r.management != want {
		return r, fault.Errorf(fault.Conflict, "read the organization", "its management account is %s, organization.management_account is %s", r.management, want).
			WithHint("whose credentials are these? nothing of this organization was taken over")
	}
	var queue []unit
	err = f.list(ctx, r, "ListRoots", "Roots", nil, func(m map[string]any) error {
		queue = append(queue, unit{ids: []string{str(m, "Id")}})
		return nil
	})
	if err != nil {
		return r, err
	}
	at := map[string]int{} // account -> place in r.accounts
	known := map[string]bool{}
	for n := 0; n < len(queue); n++ {
		u := queue[n]
		if n > maxUnits {
			return r, fault.Errorf(fault.Exhausted, "read the organization", "it has more than %d units", maxUnits)
		}
		parent := map[string]any{"ParentId": u.ids[len(u.ids)-1]}
		if err := f.list(ctx, r, "ListAccountsForParent", "Accounts", parent, func(m map[string]any) error { return r.add(m, u, at) }); err != nil {
			return r, err
		}
		err := f.list(ctx, r, "ListOrganizationalUnitsForParent", "OrganizationalUnits", parent, func(m map[string]any) error {
			id := str(m, "Id")
			if id == "" || known[id] {
				return nil // moved while it was read; where it was seen first is one of its places
			}
			known[id] = true
			queue = append(queue, u.below(id, str(m, "Name")))
			return nil
		})
		if err != nil {
			return r, err
		}
	}
	if _, ok := at[r.management]; !ok {
		return r, fault.Errorf(fault.Unavailable, "read the organization", "AWS listed %d accounts, and not the management account: the listing is not complete", len(r.accounts))
	}
	return r, nil
}

func (u unit) below(id, name string) unit {
	path := org.UnitName(name)
	if u.path != "" {
		path = u.path + "/" + path
	}
	ids := append(slices.Clone(u.ids), id)
	if len(path) > maxPath {
		path = strings.Join(ids[1:], "/") // cut, it might be another's
	}
	return unit{ids: ids, path: path}
}

// add takes an account of a listing. One that is listed twice has moved meanwhile:
// where it was seen last is where it is.
func (r *reading) add(m map[string]any, u unit, at map[string]int) error {
	a := org.Account{ID: str(m, "Id"), Name: str(m, "Name"), Unit: u.path, UnitIDs: u.ids, State: stateOf(m)}
	if a.Unit == "" {
		a.Unit = org.Root
	}
	if len(a.ID) != 12 || a.State == "" {
		return fault.Errorf(fault.Unavailable, "read the organization", "AWS listed an account without id or state")
	}
	if joined, ok := m["JoinedTimestamp"].(time.Time); ok {
		r.joined[a.ID] = joined.UTC().Truncate(time.Microsecond)
	}
	if i, twice := at[a.ID]; twice {
		r.accounts[i] = a
		return nil
	}
	if len(r.accounts) == maxAccounts {
		return fault.Errorf(fault.Exhausted, "read the organization", "it has more than %d accounts", maxAccounts)
	}
	at[a.ID] = len(r.accounts)
	r.accounts = append(r.accounts, a)
	return nil
}

// stateOf reads State; Status is its name until September 2026.
func stateOf(m map[string]any) org.State {
	if s := str(m, "State"); s != "" {
		return org.State(s)
	}
	return org.State(str(m, "Status"))
}

// confirm gives those of vanished that AWS does not know: only that makes an account
// one that has left.
func (f *Follower) confirm(ctx context.Context, r *reading, vanished []string) ([]string, error) {
	var gone []string
	for _, id := range vanished {
		_, err := f.call(ctx, r, "DescribeAccount", map[string]any{"AccountId": id})
		var api *apimodel.APIError
		switch {
		case err == nil: // it moved while the organization was read
		case errors.As(err, &api) && api.Code == "AccountNotFoundException":
			gone = append(gone, id)
		default:
			return nil, err
		}
	}
	return gone, nil
}

// tagsOf reads the tags of an account.
func (f *Follower) tagsOf(ctx context.Context, account string) (map[string]string, error) {
	tags := map[string]string{}
	err := f.list(ctx, &reading{}, "ListTagsForResource", "Tags", map[string]any{"ResourceId": account}, func(m map[string]any) error {
		tags[str(m, "Key")] = str(m, "Value")
		return nil
	})
	return tags, err
}

// list gives each item of all pages of a listing.
func (f *Follower) list(ctx context.Context, r *reading, operation, member string, in map[string]any, each func(map[string]any) error) error {
	token := ""
	for range maxPages {
		input := maps.Clone(in)
		if input == nil {
			input = map[string]any{}
		}
		if operation != "ListTagsForResource" { // its pages have no size
			input["MaxResults"] = pageSize
		}
		if token != "" {
			input["NextToken"] = token
		}
		reply, err := f.call(ctx, r, operation, input)
		if err != nil {
			return err
		}
		items, _ := reply[member].([]any)
		for _, item := range items {
			m, _ := item.(map[string]any)
			if err := each(m); err != nil {
				return err
			}
		}
		next := str(reply, "NextToken")
		if next == "" {
			return nil
		}
		if next == token {
			return fault.Errorf(fault.Unavailable, "organizations:"+operation, "AWS gave one page again and again")
		}
		token = next
	}
	return fault.Errorf(fault.Exhausted, "organizations:"+operation, "it has more than %d pages", maxPages)
}

// call makes one call of Organizations.
func (f *Follower) call(ctx context.Context, r *reading, operation string, in map[string]any) (map[string]any, error) {
	r.calls++
	o := f.cfg.Organization
	reply, err := f.cfg.Caller.Call(ctx, step, apimodel.Call{Service: "organizations", Operation: operation, Account: o.Sync.Account, Region: o.HomeRegion, Input: in})
	if err == nil {
		return reply.Output, nil
	}
	wrapped := fmt.Errorf("organizations:%s: %w", operation, err)
	var api *apimodel.APIError
	switch {
	case errors.As(err, &api) && api.Code == "AccessDeniedException":
		who := "Parry's principal in account " + o.HubAccount
		if o.Sync.Account != "" {
			who = "the role " + o.MemberRole + " in account " + o.Sync.Account
		}
		return nil, fault.E(fault.Denied, "", wrapped).WithHint("let %s call organizations:Describe* and organizations:List*; its account has to be the management account or a delegated administrator", who)
	case errors.As(err, &api) && api.Code == "AWSOrganizationsNotInUseException":
		return nil, fault.E(fault.Denied, "", wrapped).WithHint("the account is in no organization: leave organization.sync out, and list the accounts")
	}
	return nil, wrapped
}

func str(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}
