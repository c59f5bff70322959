package awsapi

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// roles are those that a session's calls may be made as besides its own, and the
// ones that a script has assumed. What is not listed is refused.
type roles struct {
	allowed []string // ARNs, or patterns of them
	seed    string   // makes the keys of this session's execution differ from others'

	mu     sync.Mutex
	minted map[string]string // the ARNs of assumed roles, by access key id
}

func newRoles(allowed []string, seed string) *roles {
	return &roles{allowed: slices.Clone(allowed), seed: seed, minted: map[string]string{}}
}

// allow reports whether calls may be made as the role.
func (r *roles) allow(arn string) bool {
	return slices.ContainsFunc(r.allowed, func(p string) bool { return glob(p, arn) })
}

var roleName = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::(\d{12}):role/((?:[\x21-\x7e]{1,510}/)?[\w+=,.@-]{1,64})$`)

// parseRole takes a role's ARN apart: its name is "path/Name" where it has a path.
func parseRole(arn string) (partition, account, name string, ok bool) {
	m := roleName.FindStringSubmatch(arn)
	if m == nil {
		return "", "", "", false
	}
	return m[1], m[2], m[3], true
}

// identify gives the identity of a call, and the call with As as the role's ARN
// and Account as the role's. As is "" afterwards where the session itself has
// that role. A role is always assumed by the session's own source: who assumed
// another in a script makes no difference to AWS.
func (s *Session) identify(c apimodel.Call) (Identity, apimodel.Call, error) {
	if c.As == "" {
		return s.id, c, nil
	}
	op := "call " + c.Service + ":" + c.Operation
	if !strings.HasPrefix(c.As, "arn:") {
		arn, ok := s.roles.of(c.As)
		if !ok {
			return s.id, c, &apimodel.APIError{
				Service: c.Service, Operation: c.Operation, Code: "InvalidClientTokenId", HTTPStatus: http.StatusForbidden,
				Message: "The security token included in the request is invalid.",
				Note:    "only credentials that this execution got by sts:AssumeRole mean something",
			}
		}
		// Whoever holds the credentials need not say whose account they are of.
		c.As, c.Account = arn, ""
	}
	partition, account, name, ok := parseRole(c.As)
	if !ok {
		return s.id, c, fault.Errorf(fault.Invalid, op, "%.600q is not the ARN of a role", c.As).
			WithHint("a role's ARN is arn:aws:iam::ACCOUNT:role/NAME")
	}
	region := c.Region
	if region == "" {
		region = s.g.cfg.Region
	}
	switch {
	case c.Account != "" && c.Account != account:
		return s.id, c, fault.Errorf(fault.Denied, op, "the call is for account %s, and role %s is of account %s", c.Account, c.As, account)
	case partition != apimodel.Partition(region):
		return s.id, c, fault.Errorf(fault.Invalid, op, "role %s is of partition %s, and region %s is not", c.As, partition, region)
	}
	c.Account = account
	if s.id.owns(name) {
		c.As = ""
		return s.id, c, nil
	}
	if err := s.mayAssume(op, c.As, account, region); err != nil {
		return s.id, c, err
	}
	id := s.id
	id.Role = name
	return id, c, nil
}

// owns reports whether a role's name, with its path, is the identity's own.
func (id Identity) owns(name string) bool {
	return id.Role != "" && strings.TrimPrefix(id.Role, "/") == name
}

// mayAssume refuses a role that is not listed, and one that the guards keep from
// every change: Parry's own, and those for emergencies.
func (s *Session) mayAssume(op, arn, account, region string) error {
	if !s.roles.allow(arn) {
		return fault.Errorf(fault.Denied, op, "role %s is not one that it may be made as", arn).
			WithHint("roles are listed for each document: documents in parry.yaml")
	}
	r := s.g.creds.ask("AssumeRole", account, region, map[string]any{"RoleArn": arn})
	r.class = apimodel.SensitiveRead
	return s.g.guard.checkRole(s.g.subject(s.id, r))
}

// took reports whether the role was given to somebody.
func (r *roles) took(arn string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.minted {
		if a == arn {
			return true
		}
	}
	return false
}

// of gives the ARN of the role that an access key id stands for.
func (r *roles) of(key string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	arn, ok := r.minted[key]
	return arn, ok
}
