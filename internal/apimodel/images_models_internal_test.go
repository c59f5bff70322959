package apimodel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestImageTableMatchesTheModels holds every row against AWS's own models: a
// misspelt member would silently capture or restore nothing.
func TestImageTableMatchesTheModels(t *testing.T) {
	t.Parallel()
	if err := CheckImages(); err != nil {
		t.Fatal(err)
	}
	models, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range images().changes {
		for _, s := range list {
			c := rowCheck{t: t, models: models, spec: s, name: fmt.Sprintf("%s:%s (%s)", s.Service, s.Operation, s.row.Aspect)}
			c.run()
		}
	}
}

type rowCheck struct {
	t      *testing.T
	models *Catalog
	spec   ImageSpec
	name   string
	image  *Shape // what the read selects
}

func (c *rowCheck) errorf(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf(c.name+": "+format, args...)
}

func (c *rowCheck) run() {
	row := c.spec.row
	svc, op, err := c.models.Find(c.spec.Service, c.spec.Operation)
	if err != nil {
		c.errorf("%v", err)
		return
	}
	if svc.Name != c.spec.Service || op.Name != c.spec.Operation {
		c.errorf("the model spells it %s:%s", svc.Name, op.Name)
	}
	if got := c.models.Classify(c.spec.Service, c.spec.Operation); got != Change {
		c.errorf("it is a %s, not a change", got)
	}
	for m := range c.spec.op.mentioned {
		if !slices.Contains(neutralMembers, m) && m != "*" && m != "" {
			c.input(op, m)
		}
	}
	if row.Restores == "" || row.ARN == "" || len(row.Members) == 0 {
		c.errorf("arn, members and restores are required")
	}
	c.read()
	c.ways()
}

// input holds an input path against the operation's shape.
func (c *rowCheck) input(op *Operation, path string) {
	steps, err := parsePath(path)
	if err == nil {
		_, err = shapeAt(op.Input, steps)
	}
	if err != nil {
		c.errorf("input of %s: %v", op.Name, err)
	}
}

func (c *rowCheck) read() {
	row := c.spec.row
	if got := c.models.ClassifyCall(Call{Service: row.service, Operation: row.Read.Operation, Input: row.Read.Input}); got != Read {
		c.errorf("it is read by %s, which is a %s", row.Read.Operation, got)
	}
	_, read, err := c.models.Find(row.service, row.Read.Operation)
	if err != nil {
		c.errorf("%v", err)
		return
	}
	in := row.Read.Input
	if in == nil {
		in = map[string]any{}
		for _, m := range row.Identity {
			in[m] = "$input." + m
		}
	}
	c.template(read.Input, in)
	c.required(read, in)
	steps, err := parsePath(row.Read.Select)
	if err == nil {
		c.image, err = shapeAt(read.Output, steps)
	}
	if err != nil {
		c.errorf("select: %v", err)
		return
	}
	for _, m := range row.Members {
		c.before(m)
	}
	if row.Set != nil {
		c.before(row.Set.Member)
		for m := range row.Set.Across {
			c.before(row.Set.Member + "[]." + m)
		}
	}
	if r := c.spec.op.Repeat; r != nil {
		for _, path := range append([]string{r.Member}, r.Witness...) {
			c.before(path)
		}
	}
}

// before holds an image path against the shape of the read's answer.
func (c *rowCheck) before(path string) {
	path, _, _ = strings.Cut(path, "|")
	steps, err := parsePath(path)
	if err == nil {
		_, err = shapeAt(c.image, steps)
	}
	if err != nil {
		c.errorf("image: %v", err)
		return
	}
	if len(steps) == 0 || !slices.Contains(c.spec.row.Members, steps[0].name) {
		c.errorf("image path %q is of no member of the image", path)
	}
}

// template holds the member names of an input template against the shape, and
// what it takes from the image against the image.
func (c *rowCheck) template(shape *Shape, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			inner, err := shapeAt(shape, []pathStep{{name: k, index: -1}})
			if err != nil {
				c.errorf("input: %v", err)
				continue
			}
			c.template(inner, x)
		}
	case []any:
		for _, x := range v {
			if shape == nil || shape.Type != List {
				c.errorf("a list stands for a %v", shape)
				continue
			}
			c.template(shape.Elem.Shape, x)
		}
	case string:
		if !strings.HasPrefix(v, "$") {
			return
		}
		for alt := range strings.SplitSeq(v, "|") {
			if path, ok := strings.CutPrefix(alt, "$before."); ok {
				c.before(path)
			}
		}
	}
}

func (c *rowCheck) required(op *Operation, in map[string]any) {
	if op.Input == nil {
		return
	}
	for _, m := range op.Input.Required {
		if _, ok := in[m]; !ok {
			c.errorf("%s lacks %s", op.Name, m)
		}
	}
}

// ways checks the inverses that the operation's effect needs.
func (c *rowCheck) ways() {
	r, op := c.spec.restore(), c.spec.op
	switch {
	case len(op.Update) > 0:
		for _, from := range op.Update {
			c.before(from)
		}
		if r.Update != nil {
			c.inverse(*r.Update, op.Update)
		}
	case op.Add != nil || op.Remove != nil:
		need := r.Remove
		if op.Remove != nil {
			need = r.Add
		}
		if need == nil {
			if r.Add == nil {
				c.errorf("no inverse for a change of the set")
			}
			return
		}
		c.inverse(*need, nil)
	default:
		if len(r.Present) == 0 && len(r.Cases) == 0 && len(r.Absent) == 0 {
			c.errorf("no inverse")
		}
		all := slices.Concat(r.Present, r.Absent)
		for _, list := range r.Cases {
			all = append(all, list...)
		}
		for _, inv := range all {
			c.inverse(inv, nil)
		}
	}
}

func (c *rowCheck) inverse(inv inverse, also map[string]string) {
	name := inv.Operation
	if name == "" {
		name = c.spec.Operation
	}
	_, op, err := c.models.Find(c.spec.Service, name)
	if err != nil || op.Name != name {
		c.errorf("inverse %s: %v", name, err)
		return
	}
	if got := c.models.Classify(c.spec.Service, name); got != Change {
		c.errorf("inverse %s is a %s", name, got)
	}
	in := map[string]any{}
	for _, m := range c.spec.row.Identity {
		if !inv.Bare {
			in[m] = ""
		}
	}
	for m := range also {
		c.input(op, m)
		top, _, _ := strings.Cut(m, ".")
		in[top] = ""
	}
	for m, t := range inv.Input {
		in[m] = t
	}
	for m, from := range inv.Fresh {
		in[m] = ""
		_, read, err := c.models.Find(c.spec.Service, c.spec.row.Read.Operation)
		if err != nil {
			return
		}
		if _, ok := read.Output.Member(from); !ok {
			c.errorf("%s answers no %s", read.Name, from)
		}
	}
	for _, term := range inv.When {
		path, _, _ := cutValue(strings.TrimPrefix(term, "!"))
		c.before(path)
	}
	c.template(op.Input, in)
	c.required(op, in)
}

// shapeAt follows a path through shapes.
func shapeAt(s *Shape, steps []pathStep) (*Shape, error) {
	for _, step := range steps {
		switch {
		case s != nil && s.Type == String:
			return s, nil // into a document: the models know no further
		case s == nil:
			return nil, fmt.Errorf("there is nothing with a member %s", step.name)
		case s.Type == Map:
			s = s.Value.Shape
		default:
			m, ok := s.Member(step.name)
			if !ok {
				return nil, fmt.Errorf("%s has no member %s", s.Name, step.name)
			}
			s = m.Shape
		}
		if !step.list {
			continue
		}
		if s.Type != List {
			return nil, fmt.Errorf("%s is no list", step.name)
		}
		s = s.Elem.Shape
		if step.key != "" {
			if _, ok := s.Member(step.key); !ok {
				return nil, fmt.Errorf("elements of %s have no member %s", step.name, step.key)
			}
		}
	}
	return s, nil
}

func TestTableRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	row := func(s string) fstest.MapFS { return fstest.MapFS{"images/s3.json": {Data: []byte("[" + s + "]")}} }
	const change = `"read":{"operation":"GetX"},"changes":{"PutX":{"opaque":["*"]}}`
	tests := map[string]struct{ row, want string }{
		"unknown member":           {`{"aspect":"a","membres":[]}`, `images/s3.json, row 1 (a): json: unknown field "membres"`},
		"unknown member inside":    {`{"aspect":"a","restore":{"present":{"op":"x"}}}`, `unknown field "op"`},
		"bad select":               {`{"aspect":"a","read":{"select":"A[x]"}}`, `"x" is no index`},
		"no effect":                {`{"aspect":"a","changes":{"PutX":{}}}`, `PutX: it says nothing about its effect`},
		"two effects":              {`{"aspect":"a","changes":{"PutX":{"update":{"A":"A"},"add":"$input.B"}}}`, `more than one`},
		"set effect without a set": {`{"aspect":"a","changes":{"PutX":{"add":"$input.B"}}}`, `need a set`},
		"repeat, not opaque":       {`{"aspect":"a","changes":{"PutX":{"update":{"A":"A"},"repeat":{"member":"A","through":["a"]}}}}`, `repeat is for opaque`},
		"repeat without a way":     {`{"aspect":"a","changes":{"PutX":{"opaque":["*"],"repeat":{"member":"A"}}}}`, `repeat needs a member`},
		"same thing twice":         {`{"aspect":"a",` + change + `},{"aspect":"a",` + change + `}`, `row 2 (a): another row`},
		"no JSON":                  {`{`, `images/s3.json: invalid character`},
	}
	for name, tt := range tests {
		table := parseImages(row(tt.row))
		if table.err == nil || !strings.Contains(table.err.Error(), tt.want) {
			t.Errorf("%s: got %v", name, table.err)
		}
	}
	if table := parseImages(row(`{"aspect":"a",` + change + `}`)); table.err != nil || len(table.changes) != 1 {
		t.Errorf("got %v", table.err)
	}
}
