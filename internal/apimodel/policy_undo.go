package apimodel

import (
	"fmt"
	"maps"
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
	spec, ok := ImageOf(s.Name, op.Name)
	if !ok {
		return out, nil
	}
	var more []Call
	if with.Image {
		more = append(more, spec.ReadCall(call))
	}
	if with.Undo {
		more = append(more, spec.possibleInverses(call)...)
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

// possibleInverses gives the calls by which a change may be undone, whatever the
// before-image turns out to be: its members are Unknown.
func (s ImageSpec) possibleInverses(c Call) []Call {
	r := s.row.Restore
	list := []*inverse{r.Present, r.Absent}
	for _, inv := range r.Cases {
		list = append(list, &inv)
	}
	var out []Call
	for _, inv := range list {
		if inv == nil || inv.Operation == "" {
			continue
		}
		in := s.named(c)
		if m, ok := openTemplate(inv.Input, c.Input).(map[string]any); ok {
			maps.Copy(in, m)
		}
		out = append(out, Call{Service: s.row.Service, Operation: inv.Operation, Account: c.Account, Region: c.Region, Input: in})
	}
	return out
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
