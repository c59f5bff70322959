package buspolicy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Caller is who asks.
type Caller struct {
	// ARN is that of the user or of the session of a role.
	ARN string
	// RoleARN is the role's where the caller is a session of one.
	RoleARN string
	Account string
	// Service is the name of a service of AWS that asks for itself, such as
	// events.amazonaws.com; the rest is empty then.
	Service string
}

// arn is what the condition key aws:PrincipalArn has: a session stands for its role.
func (c Caller) arn() string {
	if c.RoleARN != "" {
		return c.RoleARN
	}
	return c.ARN
}

// principals is a Principal element.
type principals struct {
	everyone bool
	names    []string // account ids and ARNs
	services []string
}

var (
	accountPattern   = regexp.MustCompile(`^\d{12}$`)
	rootPattern      = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(\d{12}):root$`)
	principalPattern = regexp.MustCompile(`^arn:aws[a-z-]*:(iam::\d{12}:(user|role)|sts::\d{12}:(assumed-role|federated-user))/[^*?]+$`)
	servicePattern   = regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com(\.cn)?$`)
)

func readPrincipals(raw jsontext.Value) (*principals, error) {
	if raw.Kind() == '"' {
		var text string
		if json.Unmarshal(raw, &text) != nil || text != "*" {
			return nil, fmt.Errorf(`the Principal %s is not "*"`, raw)
		}
		return &principals{everyone: true}, nil
	}
	var kinds map[string]list[string]
	if err := json.Unmarshal(raw, &kinds); err != nil {
		return nil, fmt.Errorf("the Principal: %w", err)
	}
	p := &principals{}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		for _, name := range kinds[kind] {
			if !p.add(kind, name) {
				return nil, fmt.Errorf("the principal %s %q is none of an account, a user, a role, a session or a service", kind, name)
			}
		}
	}
	if !p.everyone && len(p.names)+len(p.services) == 0 {
		return nil, fmt.Errorf("the Principal names nobody")
	}
	return p, nil
}

func (p *principals) add(kind, name string) bool {
	root := rootPattern.FindStringSubmatch(name)
	switch {
	case kind == "AWS" && name == "*":
		p.everyone = true
	case kind == "AWS" && root != nil:
		p.names = append(p.names, root[1])
	case kind == "AWS" && (accountPattern.MatchString(name) || principalPattern.MatchString(name)):
		p.names = append(p.names, name)
	case kind == "Service" && servicePattern.MatchString(name):
		p.services = append(p.services, name)
	default:
		return false
	}
	return true
}

// admits reports whether the statement is about a caller.
func (s *statement) admits(r Request) bool {
	p := s.principal
	if p == nil {
		return r.Caller.Account != "" && r.Caller.Account == accountOf(r.Resource)
	}
	if r.Caller.Service != "" {
		return slices.Contains(p.services, r.Caller.Service) || (p.everyone && s.deny)
	}
	return p.everyone || slices.ContainsFunc(p.names, func(name string) bool {
		return name != "" && (name == r.Caller.Account || name == r.Caller.ARN || name == r.Caller.RoleARN)
	})
}

// accountOf gives the account of an ARN.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
