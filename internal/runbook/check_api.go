package runbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// findOperation resolves a service and an operation in any spelling that boto3 or
// CloudTrail knows.
func findOperation(models *apimodel.Catalog, service, operation string) (*apimodel.Service, *apimodel.Operation, error) {
	svc, op, err := models.Find(service, operation)
	if fault.Is(err, fault.NotFound) && apimodel.Undated(operation) != operation {
		return models.Find(service, apimodel.Undated(operation))
	}
	return svc, op, err
}

// apiOf gives the operation of a step that calls AWS, where the step fixes it.
func (c *checker) apiOf(s *Step) (*apimodel.Service, *apimodel.Operation, error) {
	if c.with.Models == nil || s.Action != ActionAPI && s.Action != ActionAssert && s.Action != ActionWait {
		return nil, nil, nil
	}
	service, _ := s.Inputs["Service"].(string)
	operation, _ := s.Inputs["Api"].(string)
	if service == "" || operation == "" || ParseTemplate(service+operation).HasReferences() {
		return nil, nil, nil
	}
	return findOperation(c.with.Models, service, operation)
}

// api holds a step's call against AWS's model: service, operation, and every
// member of the input.
func (c *checker) api(s *Step) {
	svc, op, err := c.apiOf(s)
	if err != nil {
		c.unknownAPI(s, err)
		return
	}
	inputs, ok := s.node.get("inputs")
	if op == nil || !ok {
		return
	}
	if op.Streams() {
		c.add(CodeAPI, SeverityError, s.at("inputs", "Api"), s.path+".inputs.Api", svc.Name+":"+op.Name+" answers a stream, which a step cannot read, in AWS neither", "read it in a script (aws:executeScript), or use another operation")
	}
	m := &memberCheck{checker: c, step: s}
	fields := &node{kind: mapKind, pos: inputs.pos}
	for i, k := range inputs.keys {
		if k == "Service" || k == "Api" || s.Action != ActionAPI && (k == "PropertySelector" || k == "DesiredValues") {
			continue
		}
		fields.keys, fields.keyPos, fields.items = append(fields.keys, modelName(svc, op, k)), append(fields.keyPos, inputs.keyPos[i]), append(fields.items, inputs.items[i])
	}
	if op.Input == nil {
		for i, k := range fields.keys {
			c.add(CodeUnknownMember, SeverityError, fields.keyPos[i], s.path+".inputs."+k, fmt.Sprintf("%s:%s takes no input, not even %.60q", svc.Name, op.Name, k), "remove it")
		}
		return
	}
	token, _ := op.TokenMember()
	m.optional = []string{token}
	if svc.Name == "glacier" {
		m.optional = append(m.optional, "accountId") // botocore fills it in
	}
	if svc.Name == "s3control" {
		m.optional = append(m.optional, "AccountId")
	}
	m.structure(fields, op.Input, s.path+".inputs", 0)
}

func (c *checker) unknownAPI(s *Step, err error) {
	service, _ := s.Inputs["Service"].(string)
	operation, _ := s.Inputs["Api"].(string)
	svc, serviceErr := c.with.Models.Service(service)
	if serviceErr != nil {
		c.add(CodeAPI, SeverityError, s.at("inputs", "Service"), s.path+".inputs.Service", fmt.Sprintf("there is no AWS service %.60q: %v", service, serviceErr), "write boto3's name of the service"+similar(service, c.with.Models.Services()))
		return
	}
	names := make([]string, len(svc.Operations))
	for i, op := range svc.Operations {
		names[i] = op.Name
	}
	c.add(CodeAPI, SeverityError, s.at("inputs", "Api"), s.path+".inputs.Api", fmt.Sprintf("%s has no operation %.80q", svc.Name, operation), "mend the name of the operation"+similar(operation, names))
	_ = err // says the same in fewer words
}

// modelName gives the model's name of a member that botocore shows under
// another.
func modelName(svc *apimodel.Service, op *apimodel.Operation, name string) string {
	if op.Input == nil {
		return name
	}
	if _, ok := op.Input.Member(name); ok {
		return name
	}
	model := ""
	switch {
	case svc.Name == "ec2" && name == "Filters":
		model = "Filter"
	case svc.Name == "logs" && op.Name == "CreateExportTask" && name == "fromTime":
		model = "from"
	case svc.Name == "cloudsearchdomain" && op.Name == "Search" && name == "returnFields":
		model = "return"
	}
	if _, ok := op.Input.Member(model); ok && model != "" {
		return model
	}
	return name
}

// memberCheck walks the input of one step along its shape.
type memberCheck struct {
	*checker
	step     *Step
	optional []string // required by the model, filled in by botocore
}

func (m *memberCheck) structure(n *node, shape *apimodel.Shape, path string, depth int) {
	for _, name := range shape.Required {
		if _, ok := n.get(name); !ok && (depth > 0 || !slices.Contains(m.optional, name)) {
			m.add(CodeMissingMember, SeverityError, n.pos, path, fmt.Sprintf("the member %s is required", name), "add "+name)
		}
	}
	for i, k := range n.keys {
		member, ok := shape.Member(k)
		if !ok {
			names := make([]string, len(shape.Members))
			for j, known := range shape.Members {
				names[j] = known.Name
			}
			m.add(CodeUnknownMember, SeverityError, n.keyPos[i], join(path, k), fmt.Sprintf("%.60q is not a member here", k), "mend the name or remove it"+similar(k, names))
			continue
		}
		m.value(n.items[i], member, join(path, k), depth+1)
	}
}

func (m *memberCheck) value(n *node, member apimodel.Member, path string, depth int) {
	shape := member.Shape
	if depth > MaxDepth || shape.Document || member.JSONValue || n.kind == scalarKind && n.scalar == nil {
		return
	}
	if text, ok := n.scalar.(string); ok && n.kind == scalarKind {
		t := ParseTemplate(text)
		if ref, whole := t.whole(); whole {
			m.reference(ref, n, shape, path, false)
			return
		}
		if t.HasReferences() && shape.Type != apimodel.Structure && shape.Type != apimodel.Map && shape.Type != apimodel.List {
			return
		}
	}
	switch shape.Type {
	case apimodel.Structure:
		if n.kind != mapKind {
			m.wrong(n, path, "a map")
			return
		}
		m.structure(n, shape, path, depth)
	case apimodel.Map:
		if n.kind != mapKind {
			m.wrong(n, path, "a map")
			return
		}
		for i, k := range n.keys {
			m.value(n.items[i], shape.Value, join(path, k), depth+1)
		}
	case apimodel.List:
		if n.kind != listKind {
			m.wrong(n, path, "a list")
			return
		}
		for i, item := range n.items {
			m.item(item, shape, fmt.Sprintf("%s[%d]", path, i), depth)
		}
	default:
		m.scalar(n, shape, path)
	}
}

// item checks an item of a list; a reference to a list is spliced into it.
func (m *memberCheck) item(n *node, list *apimodel.Shape, path string, depth int) {
	if text, ok := n.scalar.(string); ok && n.kind == scalarKind {
		if ref, whole := ParseTemplate(text).whole(); whole {
			m.reference(ref, n, list.Elem.Shape, path, true)
			return
		}
	}
	m.value(n, list.Elem, path, depth+1)
}

func (m *memberCheck) wrong(n *node, path, want string) {
	m.add(CodeMemberType, SeverityError, n.pos, path, "it is "+n.what()+", not "+want, "write "+want)
}

func (m *memberCheck) scalar(n *node, shape *apimodel.Shape, path string) {
	if n.kind != scalarKind {
		want := map[apimodel.Type]string{apimodel.Boolean: "true or false", apimodel.String: "text"}[shape.Type]
		if want == "" {
			want = "a " + shape.Type.String()
		}
		m.wrong(n, path, want)
		return
	}
	switch shape.Type {
	case apimodel.Integer, apimodel.Long:
		if _, ok := asInteger(n.scalar); !ok {
			m.wrong(n, path, "a whole number")
		}
	case apimodel.Float, apimodel.Double:
		if _, ok := asNumber(n.scalar); !ok {
			m.wrong(n, path, "a number")
		}
	case apimodel.Boolean:
		if _, ok := asBoolean(n.scalar); !ok {
			m.wrong(n, path, "true or false")
		}
	case apimodel.String:
		if len(shape.Enum) > 0 && !slices.Contains(shape.Enum, n.text) {
			m.add(CodeEnum, SeverityWarning, n.pos, path, fmt.Sprintf("AWS's models know no value %.60q here", n.text), "use one of the known values"+similar(n.text, shape.Enum))
		}
	}
}

// reference says where the type of what a reference gives does not fit.
func (m *memberCheck) reference(r Ref, n *node, shape *apimodel.Shape, path string, spliced bool) {
	t, known := m.typeOf(r)
	if !known || shape.Document {
		return
	}
	if list := t.base() == TypeStringList || t.base() == TypeMapList; list && spliced {
		if elem := map[bool]Type{true: TypeString, false: TypeStringMap}[t.base() == TypeStringList]; fits(elem, shape) {
			return
		}
	}
	if !fits(t.base(), shape) {
		m.add(CodeTypeFit, SeverityWarning, n.pos, path, fmt.Sprintf("{{ %s }} is of type %s, AWS takes %s here", r, t, shapeName(shape)), "declare the type that fits, or select the part that does")
	}
}

// fits reports whether a value of type t can become one of shape.
func fits(t Type, shape *apimodel.Shape) bool {
	switch shape.Type {
	case apimodel.Structure, apimodel.Map:
		return t == TypeStringMap
	case apimodel.List:
		elem := shape.Elem.Shape.Type
		compound := elem == apimodel.Structure || elem == apimodel.Map || elem == apimodel.List
		return t == TypeMapList && compound || t == TypeStringList && !compound || shape.Elem.Shape.Document
	case apimodel.Boolean:
		return t == TypeBoolean || t == TypeString
	case apimodel.Integer, apimodel.Long, apimodel.Float, apimodel.Double:
		return t == TypeInteger || t == TypeString
	}
	return t == TypeString || t == TypeInteger || t == TypeBoolean
}

func shapeName(shape *apimodel.Shape) string {
	switch shape.Type {
	case apimodel.Structure, apimodel.Map:
		return "a map"
	case apimodel.List:
		return "a list"
	case apimodel.String:
		return "text"
	}
	return "a " + shape.Type.String()
}

// similar suggests what is written nearly like text.
func similar(text string, names []string) string {
	best, least := "", 1+len(text)/4
	for _, name := range names {
		if strings.EqualFold(name, text) {
			return ": " + name
		}
		if d := distance(strings.ToLower(text), strings.ToLower(name), least); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return ": " + best
}

// distance counts the edits from a to b, and gives up at limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 128 {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
