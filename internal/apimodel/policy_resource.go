package apimodel

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

//go:embed resources.json
var resourcesJSON []byte

// bindingTable says where the parts of an ARN are found in a call's input.
type bindingTable struct {
	Global     []string                           `json:"global"`      // prefixes whose calls may be answered in another region than they are made for
	AnyAccount []string                           `json:"any_account"` // prefixes whose resources may belong to another account that shares them
	Lower      []string                           `json:"lower"`       // prefixes whose ARNs are in lower case
	Types      map[string]map[string]*typeBinding `json:"types"`       // prefix -> resource type
}

// typeBinding is the row of one resource type: ARN variable -> member paths
// "A|B.C@form". false in the table means that only an ARN names the type.
type typeBinding struct {
	Vars map[string]string
	ARNs []string // in place of the reference's ARN
}

// UnmarshalJSON reads a row.
func (t *typeBinding) UnmarshalJSON(raw []byte) error {
	var named bool
	if json.Unmarshal(raw, &named) == nil {
		return nil
	}
	var row map[string]any
	if err := json.Unmarshal(raw, &row); err != nil {
		return err
	}
	t.Vars = map[string]string{}
	for name, v := range row {
		switch v := v.(type) {
		case string:
			t.Vars[name] = v
		case []any:
			for _, arn := range v {
				t.ARNs = append(t.ARNs, fmt.Sprint(arn))
			}
		default:
			return fmt.Errorf("resource table: %s is neither text nor list", name)
		}
	}
	return nil
}

var bindings = sync.OnceValues(func() (*bindingTable, error) {
	t := &bindingTable{}
	err := json.Unmarshal(resourcesJSON, t)
	return t, err
})

const (
	// maxNamed bounds the resources of one kind that one action is narrowed to: a
	// call that names more gets a wildcard for that part.
	maxNamed = 50
	anything = "*"
)

// binder derives the resources of one call.
type binder struct {
	service *Service
	op      *Operation
	call    Call
	class   Class
	table   *bindingTable
	// types are the ARNs of the action's types; unmatched says that a member that
	// names a resource holds an ARN that is none of them.
	types     []string
	unmatched bool
}

func newBinder(s *Service, op *Operation, call Call, class Class) *binder {
	t, err := bindings()
	if err != nil {
		t = &bindingTable{} // Grants has refused already
	}
	return &binder{service: s, op: op, call: call, class: class, table: t}
}

// resources gives the ARNs on which action is needed.
func (b *binder) resources(action string, on map[string]string) []string {
	prefix, name, _ := strings.Cut(action, ":")
	if prefix == "apigateway" && name == b.op.Method {
		return []string{b.apiPath()}
	}
	f, fact := factOf(action)
	if fact == nil || len(fact.Types) == 0 {
		return []string{anything}
	}
	b.types, b.unmatched = nil, false
	for _, t := range fact.Types {
		b.types = append(b.types, f.types[t.Name])
	}
	var out, missing []string
	required := slices.ContainsFunc(fact.Types, func(t typeUse) bool { return t.Required })
	for _, t := range fact.Types {
		arns, nameable := b.bind(prefix, t.Name, f.types[t.Name], on, len(fact.Types) == 1)
		switch {
		case len(arns) > 0:
			out = append(out, arns...)
		case t.Required, required && (b.creates() || !nameable):
			missing = append(missing, b.wildcard(prefix, f.types[t.Name]))
		}
	}
	if len(out) == 0 || b.unmatched {
		return []string{anything}
	}
	return broadest(append(out, missing...))
}

// creates reports whether the operation makes things, whose identifiers the
// input then does not hold.
func (b *binder) creates() bool {
	switch verb(b.op.Name) {
	case "Create", "Run", "Restore", "Copy", "Import", "Allocate", "Launch", "Register", "Start", "Request", "Purchase", "Provision":
		return true
	}
	return false
}

// bind gives the ARNs of one type that the input names. nameable says whether
// the operation has a member that could name one.
func (b *binder) bind(prefix, typ, template string, on map[string]string, only bool) (arns []string, nameable bool) {
	row := b.table.Types[prefix][typ]
	templates := []string{template}
	if row != nil && len(row.ARNs) > 0 {
		templates = row.ARNs
	}
	if on == nil {
		arns = b.givenARNs(row, template, only)
	}
	values := map[string][]filling{}
	for _, name := range variables(template) {
		path := on[name]
		switch {
		case row != nil && row.Vars == nil:
			path = ""
		case path != "":
		case row != nil:
			path = row.Vars[name]
		default:
			path = b.memberNamed(name)
		}
		if path == "" {
			continue
		}
		nameable = true
		if found := b.fillings(prefix, path); len(found) > 0 {
			values[name] = found
		}
	}
	if len(values) > 0 {
		for _, t := range templates {
			arns = append(arns, b.fill(prefix, t, values)...)
		}
	}
	return arns, nameable
}

// memberNamed finds the member that a variable of the reference means, for types
// that the table has no row for. Only a name that leaves no doubt will do.
func (b *binder) memberNamed(variable string) string {
	if b.op.Input == nil || len(variable) < 6 || b.copies() || slices.Contains(vague, variable) {
		return ""
	}
	want := foldName(variable)
	for _, m := range b.op.Input.Members {
		if got := foldName(m.Name); got == want || got == want+"s" {
			return m.Name
		}
	}
	return ""
}

// vague are variables that mean another thing in every service.
var vague = []string{"ResourceId", "ResourceName", "ResourceType", "RelativeId", "UniqueId", "Version", "VersionId", "Identifier", "ResourcePath"}

// copies reports whether the input tells a source from a target; which of them a
// type stands for is then known to the table only.
func (b *binder) copies() bool {
	for name := range b.call.Input {
		folded := foldName(name)
		for _, p := range []string{"source", "target", "destination", "new", "original"} {
			if strings.HasPrefix(folded, p) && !strings.HasPrefix(folded, "targetgroup") && folded != "newest" {
				return true
			}
		}
	}
	return false
}

// givenARNs gives the ARNs in the input that are of the type.
func (b *binder) givenARNs(row *typeBinding, template string, only bool) []string {
	if row == nil && b.copies() {
		return nil
	}
	var out []string
	for name, v := range b.call.Input {
		for _, x := range leaves(v, 1) {
			text, ok := x.(string)
			switch {
			case !ok:
			case strings.HasPrefix(text, "arn:") && arnPattern(template).MatchString(text):
				out = append(out, wild(text))
			case text == Unknown && only && row == nil && strings.HasSuffix(foldName(strings.TrimSuffix(name, "s")), "arn"):
				out = append(out, b.wildcard("", template))
			}
		}
	}
	return out
}

var (
	variable = regexp.MustCompile(`\$\{([A-Za-z0-9]+)\}`)
	patterns sync.Map // template -> *regexp.Regexp
)

// variables lists the variables of an ARN beyond partition, region and account.
func variables(template string) []string {
	var out []string
	for _, m := range variable.FindAllStringSubmatch(template, -1) {
		switch m[1] {
		case "Partition", "Region", "Account":
		default:
			out = append(out, m[1])
		}
	}
	return out
}

// arnPattern matches the ARNs of a template.
func arnPattern(template string) *regexp.Regexp {
	if p, ok := patterns.Load(template); ok {
		return p.(*regexp.Regexp)
	}
	var b strings.Builder
	at := 0
	b.WriteString("^")
	for _, m := range variable.FindAllStringSubmatchIndex(template, -1) {
		b.WriteString(regexp.QuoteMeta(template[at:m[0]]))
		switch template[m[2]:m[3]] {
		case "Partition", "Region", "Account":
			b.WriteString("[^:]*")
		default:
			b.WriteString(".+")
		}
		at = m[1]
	}
	b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(template[at:]), `\*`, ".*") + "$")
	p := regexp.MustCompile(b.String())
	patterns.Store(template, p)
	return p
}

// wildcard gives the template with nothing known but where the call goes.
func (b *binder) wildcard(prefix, template string) string { return b.fill(prefix, template, nil)[0] }

// fill puts values into a template: every combination, what is not known as *.
func (b *binder) fill(prefix, template string, values map[string][]filling) []string {
	out := []string{template}
	account, region := b.account(prefix), orAny(b.call.Region)
	for _, name := range variables(template) {
		list := values[name]
		if len(list) == 0 || len(list)*len(out) > maxNamed {
			list = []filling{{text: anything}}
		}
		var next []string
		for _, t := range out {
			for _, v := range list {
				x := strings.ReplaceAll(t, "${"+name+"}", v.text)
				if v.account != "" {
					x = strings.ReplaceAll(x, "${Account}", v.account)
				}
				if v.region != "" {
					x = strings.ReplaceAll(x, "${Region}", v.region)
				}
				next = append(next, x)
			}
		}
		out = next
	}
	known := strings.NewReplacer("${Partition}", Partition(b.call.Region), "${Region}", region, "${Account}", account)
	for i := range out {
		out[i] = stars.ReplaceAllString(known.Replace(out[i]), anything)
	}
	return out
}

var stars = regexp.MustCompile(`\*\*+`)

func (b *binder) account(prefix string) string {
	if slices.Contains(b.table.AnyAccount, prefix) {
		return anything
	}
	return orAny(b.call.Account)
}

func orAny(text string) string {
	if text == "" {
		return anything
	}
	return strings.ReplaceAll(text, Unknown, anything)
}

// apiPath is the ARN of API Gateway: the path of the request.
func (b *binder) apiPath() string {
	path := strings.TrimPrefix(b.op.URI, "/v2")
	path, _, _ = strings.Cut(path, "?")
	if b.op.Input != nil {
		for _, m := range b.op.Input.Members {
			if m.Location != "uri" {
				continue
			}
			place := firstOf(m.LocationName, m.Name)
			value := anything
			if found := valuesAt(b.call.Input, m.Name); len(found) == 1 && !strings.HasPrefix(fmt.Sprint(found[0]), "arn:") {
				value = wild(fmt.Sprint(found[0]))
			}
			path = strings.NewReplacer("{"+place+"}", value, "{"+place+"+}", value).Replace(path)
		}
	}
	return "arn:" + Partition(b.call.Region) + ":apigateway:" + orAny(b.call.Region) + "::" + path
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
