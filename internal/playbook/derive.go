package playbook

import (
	"errors"
	"fmt"
	"strconv"
)

// derivation computes a runbook parameter from a live read.
type derivation struct {
	value func(doc map[string]any, s Source) (any, error)
	// selector and with say which of these the source has to give.
	selector, with bool
}

// predicate tests a live read and says what it saw.
type predicate struct {
	test func(doc map[string]any, with string) (bool, string)
	with bool // whether it takes an argument
}

// derivations is the closed list that Source.Derive may name.
func derivations() map[string]derivation {
	text := func(f func(map[string]any) (string, error)) derivation {
		return derivation{value: func(doc map[string]any, _ Source) (any, error) { return f(doc) }}
	}
	return map[string]derivation{
		"policy_action":                    text(policyAction),
		"policy_without_public_statements": text(policyWithoutPublicStatements),
		"has_public_grants":                text(hasPublicGrants),
		"open_rules":                       {value: openRules, with: true},
		"rules":                            {value: allRules, selector: true},
		"rule_directions":                  text(ruleDirections),
		"at_least":                         {value: atLeast, selector: true, with: true},
		"current":                          {value: current, selector: true, with: true},
		"password_limits":                  text(passwordLimits),
	}
}

// predicates is the closed list that Check.Predicate may name.
func predicates() map[string]predicate {
	plain := func(f func(map[string]any) (bool, string)) predicate {
		return predicate{test: func(doc map[string]any, _ string) (bool, string) { return f(doc) }}
	}
	return map[string]predicate{
		"policy_not_public":       plain(policyNotPublic),
		"policy_not_public_read":  plain(policyNotPublicRead),
		"policy_not_public_write": plain(policyNotPublicWrite),
		"acl_not_public":          plain(aclNotPublic),
		"acl_not_public_read":     plain(aclNotPublicRead),
		"acl_not_public_write":    plain(aclNotPublicWrite),
		"key_can_rotate":          plain(keyCanRotate),
		"port_not_open":           {test: portNotOpen, with: true},
	}
}

// port is the argument of port_not_open and open_rules.
func port(with string) (int64, error) {
	n, err := strconv.ParseUint(with, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("with %q is not a port", trim(with, 20))
	}
	return int64(n), nil
}

// atLeast gives the whole number at the selector, or With where that is more: what is
// stricter already stays.
func atLeast(doc map[string]any, s Source) (any, error) {
	least, err := strconv.ParseInt(s.With, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("with %q is not a whole number", trim(s.With, 20))
	}
	v, _ := selected(doc, s.Selector)
	n, _ := whole(v)
	return max(n, least), nil
}

// current gives what is at the selector now, or With where there is nothing.
func current(doc map[string]any, s Source) (any, error) {
	if v, ok := selected(doc, s.Selector); ok {
		return v, nil
	}
	return s.With, nil
}

// passwordLimits says which limits the account's password policy has: none, age (passwords
// expire), reuse (earlier ones are remembered) or both.
func passwordLimits(doc map[string]any) (string, error) {
	has := func(member string) bool {
		v, _ := selected(doc, "$.PasswordPolicy."+member)
		n, _ := whole(v)
		return n > 0
	}
	switch age, reuse := has("MaxPasswordAge"), has("PasswordReusePrevention"); {
	case age && reuse:
		return "both", nil
	case age:
		return "age", nil
	case reuse:
		return "reuse", nil
	}
	return "none", nil
}

// keyCanRotate holds for a key whose material AWS KMS can rotate by itself: one of the
// customer's, symmetric, in use, with material of KMS's own, and of a multi-Region key
// the primary, which rotates its replicas.
// https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
func keyCanRotate(doc map[string]any) (bool, string) {
	key, _ := doc["KeyMetadata"].(map[string]any)
	if key == nil {
		return false, "there is no such key"
	}
	for _, m := range [][2]string{{"KeyManager", "CUSTOMER"}, {"KeyState", "Enabled"}, {"KeySpec", "SYMMETRIC_DEFAULT"}, {"Origin", "AWS_KMS"}} {
		if v, _ := key[m[0]].(string); v != m[1] {
			return false, fmt.Sprintf("its %s is %s, not %s", m[0], trim(fmt.Sprint(key[m[0]]), 60), m[1])
		}
	}
	multi, _ := key["MultiRegionConfiguration"].(map[string]any)
	if multi["MultiRegionKeyType"] == "REPLICA" {
		return false, "it is a replica, which rotates with its primary key"
	}
	return true, "its material can be rotated"
}

var errNoGroup = errors.New("the answer has no security group")
