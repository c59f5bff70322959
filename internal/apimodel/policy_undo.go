package apimodel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Surround selects what belongs to a change besides the call itself.
type Surround struct {
	// Image asks for the read of the before-image, by which a change is verified as well.
	Image bool
	// Undo asks for every call that may bring the before-image back.
	Undo bool
}

// GrantsAround is Grants of a call and of what belongs to it. Only a changing
// operation with a row in the table of images has any of that.
func (c *Catalog) GrantsAround(call Call, with Surround) ([]Grant, error) {
	out, err := c.Grants(call)
	if err != nil {
		return nil, err
	}
	s, op, err := c.Find(call.Service, call.Operation)
	if err != nil {
		return nil, err
	}
	var more []Call
	for _, spec := range rowsOf(s.Name, op.Name, call) {
		if with.Image {
			more = append(more, spec.openRead())
		}
		if with.Undo {
			more = append(more, spec.possibleInverses()...)
		}
	}
	for _, m := range more {
		list, err := c.Grants(m)
		if err != nil {
			return nil, fmt.Errorf("what belongs to %s: %w", call, err)
		}
		out = append(out, list...)
	}
	return out, nil
}

// rowsOf gives the row of a call, or, where only the operation is known, every
// row that it may be about.
func rowsOf(service, operation string, call Call) []ImageSpec {
	call.Service, call.Operation = service, operation
	if len(call.Input) > 0 {
		if spec, ok := ImageOf(call); ok {
			return []ImageSpec{spec}
		}
		return nil
	}
	list := slices.Clone(images().changes[imageKey(service, operation)])
	for i := range list {
		list[i].call = call
	}
	return list
}

// openRead is ReadCall of a call of which perhaps only the operation is known.
func (s ImageSpec) openRead() Call {
	if len(s.call.Input) > 0 {
		return s.ReadCall()
	}
	return Call{Service: s.row.service, Operation: s.row.Read.Operation, Account: s.call.Account, Region: s.call.Region}
}

// possibleInverses gives the calls by which the call may be undone, whatever the
// before-image turns out to be: its members are Unknown.
func (s ImageSpec) possibleInverses() []Call {
	r := s.restore()
	list := slices.Concat(r.Present, r.Absent)
	for _, name := range slices.Sorted(maps.Keys(r.Cases)) {
		list = append(list, r.Cases[name]...)
	}
	for _, inv := range []*inverse{r.Add, r.Remove} {
		if inv != nil && (s.op.Add != nil || s.op.Remove != nil) {
			list = append(list, *inv)
		}
	}
	if len(s.op.Update) > 0 {
		inv := inverse{}
		if r.Update != nil {
			inv = *r.Update
		}
		if inv.Operation == "" {
			inv.Operation = s.Operation
		}
		list = append(list, inv)
	}
	var out []Call
	for _, inv := range list {
		if inv.Operation != "" {
			out = append(out, s.openInverse(inv))
		}
	}
	return out
}

func (s ImageSpec) openInverse(inv inverse) Call {
	c := Call{Service: s.row.service, Operation: inv.Operation, Account: s.call.Account, Region: s.call.Region}
	if len(s.call.Input) == 0 {
		return c
	}
	c.Input = s.named()
	for member := range s.op.Update {
		if _, ok := s.call.Input[member]; ok && inv.Operation == s.Operation {
			c.Input[member] = Unknown
		}
	}
	if m, ok := openTemplate(inv.Input, s.call.Input).(map[string]any); ok {
		maps.Copy(c.Input, m)
	}
	return c
}

// openTemplate fills a template of the table where nothing was read yet.
func openTemplate(t any, input map[string]any) any {
	switch t := t.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, v := range t {
			out[k] = openTemplate(v, input)
		}
		return out
	case []any:
		out := make([]any, 0, len(t))
		for _, v := range t {
			out = append(out, openTemplate(v, input))
		}
		return out
	case string:
		if path, ok := strings.CutPrefix(t, "$input."); ok && !strings.Contains(t, "|") {
			if v, ok := lookup(input, path); ok {
				return v
			}
		}
		if strings.HasPrefix(t, "$") {
			return Unknown
		}
	}
	return t
}
