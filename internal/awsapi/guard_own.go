package awsapi

import (
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// ownThing is something that no change may touch.
type ownThing struct {
	guard, setting string
	arn            string // matched anywhere in an input
	name           string // matched as a whole value in inputs of service
	service        string
}

// ownThings lists what is Parry's own or for emergencies.
func (g Guards) ownThings() []ownThing {
	var own []ownThing
	for _, r := range g.OwnRoles {
		own = append(own, ownThing{guard: "own roles", setting: "organization.member_role", name: r[strings.LastIndex(r, "/")+1:], service: "iam"})
	}
	for _, a := range g.OwnResources {
		own = append(own, ownThing{guard: "own resources", setting: "guards.resources", arn: a, name: lastPart(a), service: arnPart(a, 2)})
	}
	for _, p := range g.BreakGlass {
		t := ownThing{guard: "break-glass principals", setting: "guards.break_glass", name: p[strings.LastIndex(p, "/")+1:], service: "iam"}
		if strings.HasPrefix(p, "arn:") {
			t.arn = p
		}
		own = append(own, t)
	}
	return own
}

func (t ownThing) shown() string {
	if t.arn != "" {
		return t.arn
	}
	return t.name
}

// touched looks for the thing in every text of the input: an ARN anywhere, a
// name as a whole value or last part of a path, URL or ARN in its own service.
// It may refuse too much, never too little.
func (t ownThing) touched(r request) bool {
	if t.arn != "" {
		if spec, ok := apimodel.ImageOf(r.Call); ok && spec.ARN() == t.arn {
			return true
		}
	}
	return anyText(r.Input, func(s string) bool {
		if t.arn != "" && containsARN(s, t.arn) {
			return true
		}
		return r.Service == t.service && t.name != "" && (strings.EqualFold(s, t.name) || strings.EqualFold(lastPart(s), t.name))
	})
}

// containsARN finds arn in s as a whole name: "arn:aws:s3:::parry" is not in
// "arn:aws:s3:::parry-logs", but is in "arn:aws:s3:::parry/key".
func containsARN(s, arn string) bool {
	for {
		i := strings.Index(s, arn)
		if i < 0 {
			return false
		}
		s = s[i+len(arn):]
		if s == "" || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", rune(s[0])) {
			return true
		}
	}
}

// anyText reports whether f holds for any text in v.
func anyText(v any, f func(string) bool) bool {
	switch v := v.(type) {
	case string:
		return f(v)
	case map[string]any:
		for k, x := range v {
			if f(k) || anyText(x, f) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return anyText(x, f) })
	case []string:
		return slices.ContainsFunc(v, f)
	}
	return false
}

// lastPart gives what follows the last / or : of an ARN, URL or path.
func lastPart(s string) string { return s[strings.LastIndexAny(s, "/:")+1:] }

// arnPart gives a part of an ARN by its place: 1 partition, 2 service, 3 region,
// 4 account, 5 resource.
func arnPart(arn string, n int) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return ""
	}
	return parts[n]
}
