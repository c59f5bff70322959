package api

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/auth"
)

// TestOpenAPIReferenceIsInDocs keeps docs/reference/api.md what the OpenAPI document says,
// with the right that each operation asks for.
func TestOpenAPIReferenceIsInDocs(t *testing.T) {
	t.Parallel()
	got := reference(t)
	path := filepath.Join("..", "..", "docs", "reference", "api.md")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Error("docs/reference/api.md is not what the code says; run: go test ./internal/api -run OpenAPI -update")
	}
}

// schema is the part of JSON Schema that our document uses.
type schema struct {
	Ref         string `yaml:"$ref"`
	Type        any
	Format      string
	Description string
	Enum        []string
	Items       *schema
	Properties  map[string]schema
	Required    []string
	// More is a schema, or whether there may be members without a name in the schema.
	More      yaml.Node `yaml:"additionalProperties"`
	Default   any
	Minimum   *float64
	Maximum   *float64
	MaxLength *int `yaml:"maxLength"`
	MaxItems  *int `yaml:"maxItems"`
}

type content map[string]struct{ Schema schema }

type described struct {
	OperationID string `yaml:"operationId"`
	Summary     string
	Tags        []string
	Parameters  []struct {
		Name, In, Description string
		Required              bool
		Schema                schema
	}
	RequestBody *struct{ Content content } `yaml:"requestBody"`
	Responses   map[string]struct{ Content content }
}

func reference(t *testing.T) []byte {
	t.Helper()
	a := with(Config{})
	a.built()
	raw, err := a.huma.OpenAPI().YAML()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Info       struct{ Description string }
		Paths      map[string]map[string]described
		Components struct{ Schemas map[string]schema }
	}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	byTag := map[string][]Operation{}
	for _, op := range a.Operations() {
		tag := doc.Paths[op.Path][strings.ToLower(op.Method)].Tags[0]
		byTag[tag] = append(byTag[tag], op)
	}
	var out bytes.Buffer
	out.WriteString("# REST API\n\n" + doc.Info.Description + "\n\nMade from [openapi.yaml](../openapi.yaml), the document to generate clients from. " +
		"A list answers `items` and, while there is more, `next`: the `cursor` of\nthe next page. An error is a [Problem](#problem) with the status that fits.\n\n")
	writeRights(&out)
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		fmt.Fprintf(&out, "\n## %s: operations\n", strings.ToUpper(tag[:1])+tag[1:]) // an object may have the tag's name
		ops := byTag[tag]
		slices.SortStableFunc(ops, func(a, b Operation) int { return cmp.Compare(a.Path, b.Path) })
		for _, op := range ops {
			writeOperation(&out, op, doc.Paths[op.Path][strings.ToLower(op.Method)])
		}
	}
	out.WriteString("\n## Objects\n\n`*` stands at members that are always there, or have to be given.\n")
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		writeSchema(&out, name, doc.Components.Schemas[name])
	}
	return out.Bytes()
}

// writeRights says which role holds which right.
func writeRights(out *bytes.Buffer) {
	out.WriteString("Rights and the roles of keys that hold them:\n\n| Right |")
	for _, role := range auth.Roles() {
		fmt.Fprintf(out, " %s |", role)
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(auth.Roles())) + "\n")
	for _, action := range auth.Actions() {
		fmt.Fprintf(out, "| `%s` |", action)
		for _, role := range auth.Roles() {
			out.WriteString(map[bool]string{true: " yes |", false: " |"}[role.May(action)])
		}
		out.WriteString("\n")
	}
	out.WriteString("\nPeople who sign in at the console have one role: viewer (reader), responder (operator), approver, administrator (admin).\n")
}

func writeOperation(out *bytes.Buffer, op Operation, d described) {
	right := "Anybody may ask."
	if op.Action != "" {
		right = "Right: `" + string(op.Action) + "`."
	}
	fmt.Fprintf(out, "\n### %s %s\n\n%s. %s\n", op.Method, op.Path, d.Summary, right)
	if len(d.Parameters) > 0 {
		out.WriteString("\n| Parameter | Kind | |\n|---|---|---|\n")
		for _, p := range d.Parameters {
			fmt.Fprintf(out, "| `%s`%s | %s | %s |\n", p.Name, star(p.Required), cell(p.Schema.kind()), cell(sentences(where(p.In), p.Description, p.Schema.limits())))
		}
	}
	if d.RequestBody != nil {
		fmt.Fprintf(out, "\nBody: %s\n", bodies(d.RequestBody.Content))
	}
	for _, status := range slices.Sorted(maps.Keys(d.Responses)) {
		switch c := d.Responses[status].Content; {
		case status == "default": // a Problem, as the beginning of the page says
		case len(c) > 0:
			fmt.Fprintf(out, "\nAnswers %s: %s\n", status, bodies(c))
		case status == "200":
			out.WriteString("\nAnswers 200: JSON lines\n")
		default:
			fmt.Fprintf(out, "\nAnswers %s, without a body\n", status)
		}
	}
}

func bodies(c content) string {
	var out []string
	for _, media := range slices.Sorted(maps.Keys(c)) {
		text := c[media].Schema.kind()
		if media != "application/json" {
			text += " as `" + media + "`"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", or ")
}

func writeSchema(out *bytes.Buffer, name string, s schema) {
	fmt.Fprintf(out, "\n### %s\n\n", name)
	if s.Description != "" {
		out.WriteString(s.Description + "\n\n")
	}
	out.WriteString("| Member | Kind | |\n|---|---|---|\n")
	for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[member]
		fmt.Fprintf(out, "| `%s`%s | %s | %s |\n", member, star(slices.Contains(s.Required, member)), cell(p.kind()), cell(sentences(p.Description, p.limits())))
	}
}

// kind names the type of a value, and links to objects.
func (s schema) kind() string {
	if s.Ref != "" {
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		return "[" + name + "](#" + strings.ToLower(name) + ")"
	}
	var types []string
	switch v := s.Type.(type) {
	case string:
		types = []string{v}
	case []any:
		for _, one := range v {
			if one != "null" {
				types = append(types, fmt.Sprint(one))
			}
		}
	}
	text := strings.Join(types, " or ")
	var more schema
	switch {
	case text == "array" && s.Items != nil:
		return "list of " + s.Items.kind()
	case text == "object" && s.More.Kind == yaml.MappingNode && s.More.Decode(&more) == nil:
		if k := more.kind(); k != "any" {
			return "map of " + k
		}
		return "object"
	case s.Format == "date-time":
		return "time"
	case text == "":
		return "any"
	}
	return text
}

// limits are what a value may be.
func (s schema) limits() string {
	var out []string
	if len(s.Enum) > 0 {
		out = append(out, "one of `"+strings.Join(s.Enum, "`, `")+"`")
	}
	if s.Items != nil && len(s.Items.Enum) > 0 {
		out = append(out, "each one of `"+strings.Join(s.Items.Enum, "`, `")+"`")
	}
	if s.MaxLength != nil {
		out = append(out, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if s.MaxItems != nil {
		out = append(out, fmt.Sprintf("at most %d", *s.MaxItems))
	}
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		out = append(out, fmt.Sprintf("%g to %g", *s.Minimum, *s.Maximum))
	case s.Minimum != nil:
		out = append(out, fmt.Sprintf("at least %g", *s.Minimum))
	case s.Maximum != nil:
		out = append(out, fmt.Sprintf("at most %g", *s.Maximum))
	}
	if s.Default != nil {
		out = append(out, fmt.Sprintf("default `%v`", s.Default))
	}
	return strings.Join(out, "; ")
}

func where(in string) string {
	if in == "query" { // as nearly all are
		return ""
	}
	return "In the " + in
}

// sentences puts texts behind each other as sentences.
func sentences(texts ...string) string {
	var out []string
	for _, text := range texts {
		if text = strings.TrimSuffix(strings.TrimSpace(text), "."); text != "" {
			out = append(out, strings.ToUpper(text[:1])+text[1:]+".")
		}
	}
	return strings.Join(out, " ")
}

func star(required bool) string {
	if required {
		return " *"
	}
	return ""
}

// cell keeps a text within its cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(text)
}
