package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/org"
)

const (
	// maxRoles bounds the accounts whose role doctor takes; the server tries all of
	// them, every hour: parry org coverage.
	maxRoles = 25
	// rolesAtOnce and rolesLimit bound how they are tried.
	rolesAtOnce = 4
	rolesLimit  = time.Minute
)

// checkRoles takes the member role in accounts as a server does: by external id, with
// source identity and session tags.
func (s *shared) checkRoles(ctx context.Context, cfg config.Config, accounts []string) []check {
	const name = "member roles"
	o := cfg.Organization
	accounts = slices.DeleteFunc(slices.Clone(accounts), func(id string) bool { return !isAccount(id) || id == o.ManagementAccount })
	total := len(accounts)
	if total == 0 {
		return []check{{Name: name, Status: checkWarning, Detail: "no account is listed", Next: "list member accounts in organization.accounts, or set organization.sync"}}
	}
	accounts = accounts[:min(total, maxRoles)]
	ctx, cancel := context.WithTimeout(ctx, rolesLimit)
	defer cancel()
	with, err := app.NewCaller(cfg, hostUser(), s.quiet())
	if err != nil {
		return []check{failing(name, err)}
	}
	defer with.Close()
	cfg.Organization.ExternalID = ""
	without, err := app.NewCaller(cfg, hostUser(), s.quiet())
	if err != nil {
		return []check{failing(name, err)}
	}
	defer without.Close()
	found := make([]check, len(accounts))
	regions := optInRegions(cfg)
	said := make([]*org.Regions, len(accounts))
	var all sync.WaitGroup
	turns := make(chan struct{}, rolesAtOnce)
	for i, account := range accounts {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			inside, tried := with.TakeRole(ctx, account, o.SessionTags)
			if tried == nil && len(regions) > 0 {
				said[i] = regionsSaid(inside.Regions(ctx))
			}
			open := tried == nil && o.ExternalID != "" && opens(ctx, without, account)
			found[i] = judgeRole(o, account, tried, open)
		})
	}
	all.Wait()
	bad := slices.DeleteFunc(slices.Clone(found), func(c check) bool { return c.Status == checkOK })
	good := 0 // one that can be taken without the external id can be taken
	for _, c := range found {
		if c.Status != checkFailing {
			good++
		}
	}
	sum := check{Name: name, Status: checkOK, Detail: fmt.Sprintf("role %s can be taken in %d of %d accounts", o.MemberRole, good, len(found))}
	if total > len(found) {
		sum.Detail += fmt.Sprintf("; %d more were not tried", total-len(found))
		sum.Next = "a running server tries all of them: parry org coverage"
	}
	switch {
	case good == 0:
		sum.Status, sum.Next = checkFailing, "see the lines below"
	case len(bad) > 0:
		sum.Status, sum.Next = checkWarning, "see the lines below"
	}
	return append(append([]check{sum}, bad...), checkRegions(regions, said)...)
}

// opens reports whether the role can be taken by c.
func opens(ctx context.Context, c *app.Caller, account string) bool {
	_, err := c.TakeRole(ctx, account, false)
	return err == nil
}

// judgeRole says what a role's trust policy lacks. Open says that it can be taken without
// the external id too.
func judgeRole(o org.Organization, account string, err error, open bool) check {
	c := check{Name: "role in " + account, Status: checkOK}
	if err == nil {
		if open {
			c.Status, c.Detail = checkWarning, "it can be taken without the external id"
			c.Next = fmt.Sprintf("let the trust policy of %s ask for it: StringEquals sts:ExternalId %s; or Parry may be led into an account that is not yours", o.MemberRole, o.ExternalID)
		}
		return c
	}
	c.Status, c.Detail = checkFailing, err.Error()
	var api *apimodel.APIError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		c.Next = "STS did not answer in time: check the network"
	case !errors.As(err, &api):
		c.Next = "see AWS credentials"
	case strings.Contains(api.Message, "sts:TagSession"):
		c.Next = "allow sts:TagSession in the role's trust policy and in the policy of Parry's principal, or set organization.session_tags: false"
	case strings.Contains(api.Message, "sts:SetSourceIdentity"):
		c.Next = "allow sts:SetSourceIdentity in the role's trust policy and in the policy of Parry's principal: it says for whom Parry acts"
	default:
		c.Next = fmt.Sprintf("make role %s there, with a trust policy that admits Parry's principal with external id %q, sts:SetSourceIdentity and sts:TagSession; let the principal call sts:AssumeRole on it: docs/start.md", o.MemberRole, o.ExternalID)
	}
	return c
}

// memberAccounts are those that Parry answers for: the listed ones, or the organization's.
func (s *shared) memberAccounts(ctx context.Context, cfg config.Config) ([]string, error) {
	var out []string
	for _, a := range cfg.Organization.Accounts {
		out = append(out, a.ID)
	}
	o := cfg.Organization
	if !o.Sync.Enabled {
		return out, nil
	}
	ask, end, err := s.reading(ctx, cfg, app.OrganizationReader(o, "").Role)
	if err != nil {
		return nil, err
	}
	defer end()
	in := map[string]any{}
	for len(out) < maxListedAccounts {
		page, err := ask(apimodel.Call{Service: "organizations", Operation: "ListAccounts", Account: o.Sync.Account, Region: o.HomeRegion, Input: in})
		if err != nil {
			return nil, err
		}
		list, _ := page["Accounts"].([]any)
		for _, item := range list {
			m, _ := item.(map[string]any)
			id, _ := m["Id"].(string)
			if m["Status"] == "ACTIVE" || m["State"] == "ACTIVE" {
				out = append(out, id)
			}
		}
		token, _ := page["NextToken"].(string)
		if token == "" {
			break
		}
		in = map[string]any{"NextToken": token}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// maxListedAccounts bounds the accounts that doctor counts.
const maxListedAccounts = 10_000
