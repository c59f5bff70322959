package apimodel

import (
	_ "embed"
	"encoding/json"
	"strings"
	"sync"
)

//go:embed classes.json
var classesJSON []byte

// Reviewed is one line of the reviewed table: operations whose class does not
// follow from their name, and why.
type Reviewed struct {
	Service string   `json:"service"`
	Class   Class    `json:"class"`
	When    string   `json:"when,omitempty"` // input member that must be true for the class to hold; else it is a read
	Reason  string   `json:"reason"`
	Names   []string `json:"names"`
}

type classTable struct {
	ReadVerbs  map[string]string `json:"read_verbs"`
	Operations []Reviewed        `json:"operations"`

	reviewed map[string]*Reviewed // "service:operation"
}

// classes parses the table once; it is embedded, so it cannot differ later.
var classes = sync.OnceValues(func() (*classTable, error) {
	t := &classTable{}
	if err := json.Unmarshal(classesJSON, t); err != nil {
		return nil, err
	}
	t.reviewed = map[string]*Reviewed{}
	for i := range t.Operations {
		for _, name := range t.Operations[i].Names {
			t.reviewed[t.Operations[i].Service+":"+name] = &t.Operations[i]
		}
	}
	return t, nil
})

// ReviewedClasses lists the reviewed table, for documentation and tests.
func ReviewedClasses() ([]Reviewed, error) {
	t, err := classes()
	if err != nil {
		return nil, err
	}
	return t.Operations, nil
}

// Classify says what an operation may do, whatever its input. The reviewed
// table decides; else an operation is a read when its verb is one and no trait
// of the model speaks against it. Unknown services and operations, and names
// that are not surely reads, are changes.
//
// A trait only ever takes trust away: a Get by PUT, PATCH or DELETE is a change,
// and so is one with an idempotency token, which nothing needs that may be
// repeated freely. The models' own readonly mark is not used: it is set on
// operations that change (ivs:StartViewerSessionRevocation).
func (c *Catalog) Classify(service, operation string) Class {
	class, _ := c.classify(service, operation)
	return class
}

// ClassifyCall is Classify with the call's input: an operation that answers
// with secrets only when asked to is a read otherwise.
func (c *Catalog) ClassifyCall(call Call) Class {
	class, reviewed := c.classify(call.Service, call.Operation)
	if reviewed == nil || reviewed.When == "" {
		return class
	}
	for member, value := range call.Input {
		if strings.EqualFold(member, reviewed.When) && !isFalse(value) {
			return class
		}
	}
	return Read
}

// isFalse accepts what runbooks write for false; anything else counts as true.
func isFalse(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return strings.EqualFold(v, "false") || v == ""
	}
	return false
}

func (c *Catalog) classify(service, operation string) (Class, *Reviewed) {
	t, err := classes()
	if err != nil {
		return Change, nil
	}
	s, op, err := c.Find(service, operation)
	if err != nil {
		return Change, nil
	}
	if r := t.reviewed[s.Name+":"+op.Name]; r != nil {
		return r.Class, r
	}
	switch op.Method {
	case "PUT", "PATCH", "DELETE": //nolint:usestdlibvars // a noun imports no net/http
		return Change, nil
	}
	if _, token := op.TokenMember(); token {
		return Change, nil
	}
	if _, ok := t.ReadVerbs[verb(op.Name)]; ok {
		return Read, nil
	}
	return Change, nil
}

// verb gives the first word of an operation's name, or the first two where the
// first is Batch: "Describe", "BatchGet".
func verb(name string) string {
	end := wordEnd(name, 0)
	if name[:end] == "Batch" {
		end = wordEnd(name, end)
	}
	return name[:end]
}

func wordEnd(name string, from int) int {
	i := from + 1
	for i < len(name) && (name[i] < 'A' || name[i] > 'Z') {
		i++
	}
	return min(i, len(name))
}
