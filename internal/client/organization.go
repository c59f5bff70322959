package client

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/api"
)

// Organization says how the organization is followed.
func (c *Client) Organization(ctx context.Context) (api.Organization, error) {
	var out api.Organization
	err := c.call(ctx, http.MethodGet, "/v1/organization", nil, nil, &out)
	return out, err
}

// OrgAccounts lists accounts, by id; state and unit "" are all.
func (c *Client) OrgAccounts(ctx context.Context, state, unit string, p Paging) (api.Page[api.OrgAccount], error) {
	v := p.values()
	set(v, "state", state)
	set(v, "unit", unit)
	var out api.Page[api.OrgAccount]
	err := c.call(ctx, http.MethodGet, "/v1/organization/accounts", v, nil, &out)
	return out, err
}

// OrgAccount shows an account.
func (c *Client) OrgAccount(ctx context.Context, id string) (api.OrgAccountDetail, error) {
	var out api.OrgAccountDetail
	err := c.on(ctx, http.MethodGet, "/v1/organization/accounts/", id, "", nil, &out)
	return out, err
}

// CoverageFilter selects coverage; a zero field does not restrict.
type CoverageFilter struct{ Account, Region, State string }

// Coverage lists what Parry can see and do.
func (c *Client) Coverage(ctx context.Context, f CoverageFilter, p Paging) (api.Page[api.CoverageRegion], error) {
	v := p.values()
	set(v, "account", f.Account)
	set(v, "region", f.Region)
	set(v, "state", f.State)
	var out api.Page[api.CoverageRegion]
	err := c.call(ctx, http.MethodGet, "/v1/organization/coverage", v, nil, &out)
	return out, err
}

// SyncOrganization asks for the organization to be read now.
func (c *Client) SyncOrganization(ctx context.Context, acceptRemovals bool) (api.SyncAsked, error) {
	var out api.SyncAsked
	err := c.call(ctx, http.MethodPost, "/v1/organization/sync", nil, map[string]bool{"accept_removals": acceptRemovals}, &out)
	return out, err
}
