package awsapi

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// ownThing is something that no change may touch.
type ownThing struct {
	guard, setting string
	arn            string   // matched anywhere in an input
	names          []string // matched as a whole value, or as a part of a path, URL or ARN
	service        string   // in whose calls a name alone means the thing
}

// ownThings lists what is Parry's own or for emergencies.
func (g Guards) ownThings() []ownThing {
	var own []ownThing
	for _, r := range g.OwnRoles {
		own = append(own, ownThing{guard: "own roles", setting: "organization.member_role", names: []string{afterSlash(r)}, service: "iam"})
	}
	for _, a := range g.OwnResources {
		own = append(own, ownThing{guard: "own resources", setting: "guards.resources", arn: a, names: namesOf(a), service: arnPart(a, 2)})
	}
	for _, p := range g.BreakGlass {
		t := ownThing{guard: "break-glass principals", setting: "guards.break_glass", names: []string{afterSlash(p)}, service: "iam"}
		if strings.HasPrefix(p, "arn:") {
			t.arn = p
		}
		own = append(own, t)
	}
	return own
}

// namesOf gives what calls name a resource by, besides its ARN.
func namesOf(arn string) []string {
	resource := arnPart(arn, 5)
	switch parts := strings.FieldsFunc(resource, func(r rune) bool { return r == '/' || r == ':' }); {
	case len(parts) == 0:
		return nil
	case arnPart(arn, 2) == "cloudformation" && len(parts) > 1: // stack/name/id, stackset/name:id
		return parts[1:]
	case arnPart(arn, 2) == "secretsmanager": // secret:path/name-AbCdEf
		name := strings.TrimPrefix(resource, "secret:")
		return []string{name, secretSuffix.ReplaceAllString(name, "")}
	case arnPart(arn, 2) == "s3": // bucket/key
		return parts[:1]
	default:
		return parts[len(parts)-1:]
	}
}

var secretSuffix = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

func afterSlash(s string) string { return s[strings.LastIndex(s, "/")+1:] }

// conductors are services whose calls make other services act: a name in their
// inputs may mean a resource of any of them.
var conductors = []string{
	"cloudcontrol", "cloudformation", "config", "ssm", "stepfunctions", "scheduler", "events", "lambda", "fis", "servicecatalog",
	"codebuild", "batch", "resourcegroupstaggingapi", "ram",
}

// actsOn reports whether calls of r's service name things of the thing's service.
func (t ownThing) actsOn(r request) bool {
	return r.Service == t.service || slices.Contains(conductors, r.Service) ||
		r.svc != nil && (r.svc.SigningName == t.service || r.svc.EndpointPrefix == t.service)
}

func (t ownThing) shown() string {
	if t.arn != "" {
		return t.arn
	}
	return t.names[0]
}

// principalMember finds the members in which services besides IAM take a role,
// an instance profile or a user by its name. What a document says of a principal,
// such as a bucket policy that spares the own role, is none of that.
var principalMember = regexp.MustCompile(`(?i)role|profile|principal|user|grantee`)

// touched looks for the thing in every text of the input, also inside JSON. It
// may refuse too much, never too little.
func (t ownThing) touched(r request) bool {
	if t.arn != "" {
		if spec, ok := apimodel.ImageOf(r.Call); ok && spec.ARN() == t.arn {
			return true
		}
	}
	acts := t.actsOn(r)
	return anyText(r.Input, func(member, s string, inside bool) bool {
		switch {
		case t.arn != "" && containsARN(s, t.arn):
			return true
		case acts:
			return t.isNamed(s) || t.service == "iam" && t.mentioned(s)
		case t.service == "iam" && !inside && (strings.HasPrefix(s, "arn:") || principalMember.MatchString(member)):
			return t.isNamed(s)
		}
		return false
	})
}

// isNamed reports whether s is a name of the thing, or has it for a part.
func (t ownThing) isNamed(s string) bool {
	for _, n := range t.names {
		if strings.EqualFold(s, n) || !strings.Contains(n, "/") && slices.ContainsFunc(strings.FieldsFunc(s, separates), func(part string) bool { return strings.EqualFold(part, n) }) {
			return true
		}
	}
	return false
}

func separates(r rune) bool { return strings.ContainsRune("/:?#&=", r) }

// mentioned looks for the principal's ARN inside a document.
func (t ownThing) mentioned(s string) bool {
	return slices.ContainsFunc(principalARN.FindAllString(s, -1), func(arn string) bool {
		return t.isNamed(arn)
	})
}

var principalARN = regexp.MustCompile(`(?i)arn:[a-z-]*:(?:iam|sts)::[0-9*]*:(?:role|user|instance-profile|assumed-role)/[\w+=,.@/-]+`)

// hasWord looks for the thing in free text, such as a template.
func (t ownThing) hasWord(s string) bool {
	if t.arn != "" && containsARN(s, t.arn) {
		return true
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return !nameRune(r) })
	return slices.ContainsFunc(t.names, func(n string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, n) })
	})
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+.@-", r)
}

// containsARN finds arn in s as a whole name: "arn:aws:s3:::parry" is not in
// "arn:aws:s3:::parry-logs", but is in "arn:aws:s3:::parry/key".
func containsARN(s, arn string) bool {
	s, arn = strings.ToLower(s), strings.ToLower(arn)
	for {
		i := strings.Index(s, arn)
		if i < 0 {
			return false
		}
		s = s[i+len(arn):]
		if s == "" || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.", rune(s[0])) {
			return true
		}
	}
}

// textTest looks at one text of an input: member is the path of the member that
// holds it, inside says that it stands in a JSON document there.
type textTest func(member, s string, inside bool) bool

// anyText reports whether f holds for any text in v. A text that is JSON counts
// as what it says, and one with percent signs as what they stand for, besides:
// services understand both.
func anyText(v any, f textTest) bool { return anyTextIn("", v, false, 0, f) }

func anyTextIn(member string, v any, inside bool, depth int, f textTest) bool {
	if depth > 2*maxInputDepth {
		return true // deeper than anything that is sent: not looked at, so not let pass
	}
	if b, ok := v.([]byte); ok {
		v = string(b)
	}
	if m, ok := asMap(v); ok {
		for k, x := range m {
			if f(member, k, inside) || anyTextIn(member+"."+k, x, inside, depth+1, f) {
				return true
			}
		}
		return false
	}
	if list, ok := asList(v); ok {
		return slices.ContainsFunc(list, func(x any) bool { return anyTextIn(member, x, inside, depth+1, f) })
	}
	s, ok := v.(string)
	if !ok {
		return false
	}
	if f(member, s, inside) {
		return true
	}
	if plain, err := url.PathUnescape(s); err == nil && plain != s && f(member, plain, inside) {
		return true
	}
	if trimmed := strings.TrimSpace(s); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		var document any
		if json.Unmarshal([]byte(trimmed), &document) == nil {
			return anyTextIn(member, document, true, depth+1, f)
		}
	}
	return false
}

// arnPart gives a part of an ARN by its place: 1 partition, 2 service, 3 region,
// 4 account, 5 resource.
func arnPart(arn string, n int) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" {
		return ""
	}
	return parts[n]
}
