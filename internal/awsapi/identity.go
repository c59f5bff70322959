package awsapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
)

// Identity says as whom a session calls.
type Identity struct {
	// Role is the name of the role assumed in the account of the call, without
	// its ARN; "" = the process's own credentials, which then reach only their
	// own account.
	Role string
	// SessionName carries the execution: it is what CloudTrail shows. Characters
	// that STS refuses are replaced. "" = "parry".
	SessionName string
	// SourceIdentity carries the person, or the policy that decided; "" = none.
	SourceIdentity string
	// Remediation says what the calls are made for, in the record of calls; "" =
	// none.
	Remediation remediation.ID
	// Tags are session tags: what the session is for, in CloudTrail and for
	// conditions. The role's trust policy has to allow sts:TagSession.
	Tags SessionTags
	// AtAWS has AWS answer also what Parry stands in for: a collector that asks AWS
	// Security Hub for a finding must not be answered by Parry.
	AtAWS bool
	// policy is the session policy; "" = the role alone decides, or ReadPolicies.
	policy string
}

// SessionTags say what a session is for. Empty ones are left out.
type SessionTags struct {
	Remediation string // parry:remediation
	Execution   string // parry:execution
	Plan        string // parry:plan, the hash of the approved plan
}

// RoleRequest is one sts:AssumeRole.
type RoleRequest struct {
	RoleARN        string
	ExternalID     string
	SessionName    string
	SourceIdentity string
	Region         string
	// Policy is a session policy, PolicyARNs are managed policies used as such: the
	// session may do what the role and they allow.
	Policy     string
	PolicyARNs []string
	Tags       map[string]string
}

// credentialSource is where credentials come from.
type credentialSource interface {
	// Process gives the credentials of the process by the default chain.
	Process(ctx context.Context) (Credentials, error)
	// AssumeRole gives credentials of a role and when they end.
	AssumeRole(ctx context.Context, in RoleRequest) (Credentials, time.Time, error)
}

const (
	// credentialMargin is how long before their end credentials are replaced, so
	// that a call with retries does not outlive them.
	credentialMargin = 5 * time.Minute
	// maxCredentials bounds the cache: four sessions in each of 1,000 accounts.
	maxCredentials = 4096
	// maxReadPolicies is how many managed policies STS takes for a session.
	maxReadPolicies = 10
)

// credentialCache keeps credentials by role, account and session.
type credentialCache struct {
	g      *Gate
	flight singleflight.Group

	mu     sync.Mutex
	roles  map[credentialKey]cachedCredentials
	caller string // ARN of whose credentials the process has; "" = not asked yet
}

// credentialKey tells sessions apart. right is a digest of session policy and tags.
type credentialKey struct{ arn, session, source, right string }

type cachedCredentials struct {
	creds Credentials
	until time.Time
}

func newCredentialCache(g *Gate) *credentialCache {
	return &credentialCache{g: g, roles: map[credentialKey]cachedCredentials{}}
}

// get gives credentials for a call of id in account. By says for whom, in the
// record of calls, when they have to be asked for.
func (c *credentialCache) get(ctx context.Context, id Identity, account, region string, by *origin) (Credentials, error) {
	if id.Role == "" {
		creds, err := c.g.cfg.Credentials.Process(ctx)
		if err != nil {
			return creds, fmt.Errorf("call as this process: %w", err)
		}
		return creds, nil
	}
	in := c.request(id, account, region)
	key := credentialKey{in.RoleARN, in.SessionName, in.SourceIdentity, in.right()}
	now := c.g.cfg.Clock.Now()
	c.mu.Lock()
	have, ok := c.roles[key]
	c.mu.Unlock()
	if ok && now.Before(have.until) {
		return have.creds, nil
	}
	v, err, _ := c.flight.Do(fmt.Sprintf("%q", key), func() (any, error) { return c.assume(ctx, key, in, account, by) })
	if err != nil {
		var none Credentials
		return none, err
	}
	return v.(cachedCredentials).creds, nil
}

// request words the sts:AssumeRole of an identity.
func (c *credentialCache) request(id Identity, account, region string) RoleRequest {
	in := RoleRequest{
		RoleARN: roleARN(id.Role, account, region), SessionName: stsName(id.SessionName, "parry"), SourceIdentity: stsName(id.SourceIdentity, ""),
		Region: region, Policy: id.policy, Tags: id.Tags.sts(),
	}
	if id.policy == "" {
		in.PolicyARNs = c.g.cfg.ReadPolicies
	}
	if c.g.cfg.ExternalID != nil {
		in.ExternalID = c.g.cfg.ExternalID(account)
	}
	return in
}

// right digests what narrows and marks the session.
func (r RoleRequest) right() string {
	raw, err := json.Marshal([]any{r.Policy, r.PolicyARNs, r.Tags})
	if err != nil {
		return r.Policy // texts always marshal
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Reach tries whether the role of id can be taken in account, and keeps nothing: what
// is remembered of the role would hide that it is gone. The record of calls has what
// failed only, since every account is tried every hour.
func (g *Gate) Reach(ctx context.Context, id Identity, account string) (*Reached, error) {
	in := g.creds.request(id, account, g.cfg.Region)
	r := g.creds.ask("AssumeRole", account, in.Region, map[string]any{"RoleArn": in.RoleARN, "RoleSessionName": in.SessionName})
	start := g.cfg.Clock.Now()
	creds, _, err := g.cfg.Credentials.AssumeRole(ctx, in)
	if err != nil {
		g.note(r, start, apimodel.Reply{}, err)
		return nil, err
	}
	return &Reached{g, id, account, creds}, nil
}

// Reached is an account whose role was just taken, for as long as its credentials hold.
type Reached struct {
	g       *Gate
	id      Identity
	account string
	creds   Credentials
}

// Regions asks the account which Regions are on in it: by name, whether it is. Guards,
// throttle and the read-only mode hold as for any read; the record of calls has what
// failed only.
func (r *Reached) Regions(ctx context.Context) (map[string]bool, error) {
	req, err := r.g.resolve(ctx, r.id, ModeRead, org.RegionsCall(r.account, r.g.cfg.Region))
	if err != nil {
		return nil, err
	}
	req.by = &origin{mode: ModeOwn}
	if err := r.g.check(r.id, req); err != nil {
		return nil, err
	}
	start := r.g.cfg.Clock.Now()
	reply, err := r.g.cfg.Sender.Send(ctx, r.creds, req.Call)
	if err != nil {
		r.g.note(req, start, reply, err)
		return nil, err
	}
	return org.RegionsOf(reply.Output), nil
}

func (c *credentialCache) assume(ctx context.Context, key credentialKey, in RoleRequest, account string, by *origin) (cachedCredentials, error) {
	r := c.ask("AssumeRole", account, in.Region, map[string]any{"RoleArn": in.RoleARN, "RoleSessionName": in.SessionName}).from(by)
	start := c.g.cfg.Clock.Now()
	creds, expires, err := c.g.cfg.Credentials.AssumeRole(ctx, in)
	c.g.note(r, start, creds.reply, err)
	if err != nil {
		return cachedCredentials{}, fault.E(codeOf(err), "call account "+account, err).
			WithHint("%s", assumeHint(err, account))
	}
	got := cachedCredentials{creds: creds, until: expires.Add(-credentialMargin)}
	now := c.g.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range c.roles {
		if len(c.roles) >= maxCredentials || !now.Before(v.until) {
			delete(c.roles, k)
		}
	}
	c.roles[key] = got
	return got, nil
}

// ask words a call that the gate makes for itself, with what the record holds of it.
func (c *credentialCache) ask(operation, account, region string, input map[string]any) request {
	r := request{Call: apimodel.Call{Service: "sts", Operation: operation, Account: account, Region: region, Input: input}, by: &origin{mode: ModeOwn}}
	if svc, op, err := c.g.cfg.Models.Find(r.Service, r.Operation); err == nil {
		r.svc, r.op, r.class = svc, op, c.g.cfg.Models.ClassifyCall(r.Call)
	}
	return r
}

// assumeHint says what to do about a role that could not be assumed.
func assumeHint(err error, account string) string {
	var api *apimodel.APIError
	if errors.As(err, &api) {
		switch {
		case strings.Contains(api.Message, "sts:TagSession"):
			return "allow sts:TagSession in the role's trust policy and in the policy of Parry's principal, or set organization.session_tags: false"
		case strings.HasPrefix(api.Code, "PackedPolicyTooLarge"):
			return "the session policy and tags do not fit once STS packs them; set organization.session_tags: false, or split the runbook's step"
		}
	} else if hint := fault.HintOf(err); hint != "" {
		return hint // STS was not asked: the process has no credentials of its own
	}
	return "the role must exist in account " + account + " and trust Parry's principal with the right external id and sts:SetSourceIdentity"
}

// processAccount gives the account of the process's credentials.
func (c *credentialCache) processAccount(ctx context.Context) (string, error) {
	arn, err := c.processARN(ctx)
	return arnPart(arn, 4), err
}

// processARN asks STS once whose credentials the process has.
func (c *credentialCache) processARN(ctx context.Context) (string, error) {
	c.mu.Lock()
	known := c.caller
	c.mu.Unlock()
	if known != "" {
		return known, nil
	}
	v, err, _ := c.flight.Do("caller", func() (any, error) {
		r := c.ask("GetCallerIdentity", "", c.g.cfg.Region, map[string]any{})
		reply, err := c.g.send(ctx, Identity{}, r)
		switch {
		case errors.Is(err, errNotSent):
			return "", err // it says itself what to do
		case err != nil:
			return "", fault.E(codeOf(err), "ask whose credentials these are", err).
				WithHint("`aws sts get-caller-identity` must work with the credentials of this process")
		}
		arn, _ := reply.Output["Arn"].(string)
		if arnPart(arn, 4) == "" {
			return "", fault.Errorf(fault.Unavailable, "ask whose credentials these are", "STS named no account")
		}
		return arn, nil
	})
	if err != nil {
		return "", err
	}
	arn := v.(string)
	c.mu.Lock()
	c.caller = arn
	c.mu.Unlock()
	return arn, nil
}

// roleARN names a role in an account. A role with a path is "path/Name".
func roleARN(role, account, region string) string {
	return "arn:" + apimodel.Partition(region) + ":iam::" + account + ":role/" + strings.TrimPrefix(role, "/")
}

// sts gives the tags as STS takes them: values of letters, digits and
// _.:/=+-@, 256 at most.
func (t SessionTags) sts() map[string]string {
	out := map[string]string{}
	for key, v := range map[string]string{"parry:remediation": t.Remediation, "parry:execution": t.Execution, "parry:plan": t.Plan} {
		v = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" _.:/=+-@", r) {
				return r
			}
			return '-'
		}, v)
		if v != "" {
			out[key] = v[:min(len(v), 256)]
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// stsName makes text fit RoleSessionName and SourceIdentity: 2 to 64 of
// [A-Za-z0-9_+=,.@-].
func stsName(text, fallback string) string {
	if text == "" {
		return fallback
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_+=,.@-", r):
			return r
		}
		return '-'
	}, text)
	if len(name) > 64 {
		name = name[:64]
	}
	for len(name) < 2 {
		name += "-"
	}
	return name
}
