package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// unitID is an organizational unit's id, or a root's, as Organizations gives them.
// https://docs.aws.amazon.com/organizations/latest/APIReference/API_OrganizationalUnit.html
var unitID = regexp.MustCompile(`^(ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}|r-[0-9a-z]{4,32})$`)

// maxUnits bounds the units that are listed for one id; AWS's own limit is 2,000 in
// an organization.
const maxUnits = 2000

// accounts gives the accounts that entries name, without those that exclude names:
// ids of accounts; organizational units, by their ids or by their paths in the
// configuration ("prod/payments"); "tag:KEY=VALUE" of accounts. A unit has the accounts
// that stand in it, and with children those in the units below it too. What is
// excluded is so with everything below it.
//
// An account that AWS has in a unit and Parry does not answer for is an error: left
// out silently, it would seem to have been fixed.
func (t *targets) accounts(ctx context.Context, entries []string, children bool, exclude []string) ([]string, error) {
	var without []string
	for _, e := range exclude {
		ids := []string{e}
		if !isAccount(e) {
			var err error
			if ids, err = t.entry(ctx, e, true); err != nil {
				return nil, fmt.Errorf("ExcludeAccounts: %w", err)
			}
		}
		without = append(without, ids...)
	}
	var out, strangers []string
	for _, e := range entries {
		ids, err := t.entry(ctx, e, children)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			switch {
			case slices.Contains(without, id), slices.Contains(out, id):
			case !t.answersFor(id):
				strangers = append(strangers, id)
			default:
				out = append(out, id)
			}
		}
	}
	if len(strangers) > 0 {
		return nil, fault.Errorf(fault.Denied, "", "Parry does not answer for %d of the accounts, such as %s", len(strangers), strangers[0]).
			WithHint("add them to organization.accounts in parry.yaml, or name them in ExcludeAccounts")
	}
	return out, nil
}

func isAccount(text string) bool {
	return len(text) == 12 && strings.Trim(text, "0123456789") == ""
}

// answersFor reports whether id is an account that can be worked in: of the
// configuration, or of the organization where it is followed. A process that runs with
// its own credentials alone answers for every one that it can reach.
func (t *targets) answersFor(id string) bool {
	a, ok := t.live.Account(id)
	if !ok {
		a, ok = t.live.Account("*")
	}
	return ok && a.State.Idle() == ""
}

// entry gives the accounts that one entry names.
func (t *targets) entry(ctx context.Context, entry string, children bool) ([]string, error) {
	if isAccount(entry) && t.answersFor(entry) {
		return []string{entry}, nil
	}
	var out []string
	known := false
	for _, a := range t.live.Accounts() {
		known = known || slices.Contains(strings.Split(a.Unit, "/"), entry) || slices.Contains(a.UnitIDs, entry)
		if a.State.Idle() == "" && named(a, entry, children) {
			out = append(out, a.ID)
		}
	}
	switch {
	case len(out) > 0 || known:
		return out, nil
	case unitID.MatchString(entry) && t.own != nil:
		return t.listed(ctx, entry, children)
	}
	return nil, fault.Errorf(fault.NotFound, "", "%.200q is no account, unit or tag of the organization that Parry answers for", entry)
}

// named reports whether entry names a.
func named(a org.Account, entry string, children bool) bool {
	if tag, ok := strings.CutPrefix(entry, "tag:"); ok {
		key, value, _ := strings.Cut(tag, "=")
		have, has := a.Tags[key]
		return has && have == value && !a.TagsUnknown
	}
	unit, own := strings.Trim(entry, "/"), strings.Trim(a.Unit, "/")
	switch {
	case a.ID == entry:
		return true
	case unit == "":
		return false
	case len(a.UnitIDs) > 0 && unitID.MatchString(unit):
		return a.UnitIDs[len(a.UnitIDs)-1] == unit || children && slices.Contains(a.UnitIDs, unit)
	case unitID.MatchString(unit): // an id says where it is by itself
		path := strings.Split(own, "/")
		return path[len(path)-1] == unit || children && slices.Contains(path, unit)
	}
	return own == unit || children && slices.Contains(org.UnitPath(own), unit)
}

// listed asks AWS Organizations for the active accounts of a unit, and with below of
// the units below it.
//
// https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccountsForParent.html
func (t *targets) listed(ctx context.Context, unit string, below bool) ([]string, error) {
	var out []string
	queue := []string{unit}
	for n := 0; n < len(queue); n++ {
		if n >= maxUnits {
			return nil, fault.Errorf(fault.Exhausted, "", "there are more than %d units below %s", maxUnits, unit)
		}
		err := t.ownList(ctx, "ListAccountsForParent", "Accounts", queue[n], func(a map[string]any) {
			if id, ok := a["Id"].(string); ok && a["Status"] == "ACTIVE" {
				out = append(out, id)
			}
		})
		if err != nil {
			return nil, err
		}
		if !below {
			continue
		}
		err = t.ownList(ctx, "ListOrganizationalUnitsForParent", "OrganizationalUnits", queue[n], func(u map[string]any) {
			if id, ok := u["Id"].(string); ok {
				queue = append(queue, id)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, nil
}

// ownList reads a listing of Organizations as Parry's own principal.
func (t *targets) ownList(ctx context.Context, operation, member, parent string, each func(map[string]any)) error {
	input := map[string]any{"ParentId": parent}
	for found := 0; ; {
		reply, err := t.own.Call(ctx, targetsStep, apimodel.Call{Service: "organizations", Operation: operation, Region: t.org.HomeRegion, Input: input})
		var refused *apimodel.APIError
		if errors.As(err, &refused) && refused.Code == "ParentNotFoundException" {
			return fault.Errorf(fault.NotFound, "", "AWS Organizations has no unit %s", parent)
		}
		if err != nil {
			return fault.E(fault.CodeOf(err), "list the accounts of unit "+parent, err).
				WithHint("let Parry's principal, in the management account or a delegated administrator, call organizations:ListAccountsForParent and "+
					"organizations:ListOrganizationalUnitsForParent, or write %s as the unit of its accounts in parry.yaml", parent)
		}
		list, _ := reply.Output[member].([]any)
		for _, item := range list {
			if m, ok := item.(map[string]any); ok {
				each(m)
			}
		}
		next, _ := reply.Output["NextToken"].(string)
		if found += len(list); next == "" {
			return nil
		}
		if found >= maxFound {
			return fault.Errorf(fault.Exhausted, "", "unit %s has more than %d accounts or units", parent, maxFound)
		}
		input = map[string]any{"ParentId": parent, "NextToken": next}
	}
}
