package apimodel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Expected gives the image after the call, when it was before. Known is false
// where the table cannot tell: nothing may then be assumed about the image but
// that it may have changed.
func (s ImageSpec) Expected(before Image) (after Image, known bool) {
	after, known = s.expected(before)
	if known && s.op.Whole && (!before.Exists || !names(after.Data, before.Data)) {
		return Image{}, false
	}
	return after, known
}

// names reports whether v has every member of was, at any depth below maps.
func names(v, was map[string]any) bool {
	for k, old := range was {
		x, ok := v[k]
		if !ok {
			return false
		}
		m, isMap := old.(map[string]any)
		now, _ := x.(map[string]any)
		if isMap && !names(now, m) {
			return false
		}
	}
	return true
}

func (s ImageSpec) expected(before Image) (after Image, known bool) {
	if !s.accounted() || s.opaque() {
		return Image{}, false
	}
	switch {
	case len(s.op.Update) > 0:
		return s.updated(before)
	case s.op.Add != nil || s.op.Remove != nil:
		return s.setChanged(before)
	}
	for _, e := range s.op.Expected {
		if e.When != "" {
			v, ok := lookup(s.call.Input, e.When)
			if !ok || (e.Is != "" && fmt.Sprint(v) != e.Is) {
				continue
			}
		}
		if e.Absent {
			return Image{}, true
		}
		v, _ := s.template(before.Data).expand(e.Set)
		return image(v)
	}
	return Image{}, false
}

// image makes an image of JSON-plain data.
func image(v any) (Image, bool) {
	flat, err := plain(v)
	if err != nil {
		return Image{}, false
	}
	data, _ := flat.(map[string]any)
	return Image{Exists: true, Data: data}, true
}

// MayRepeat reports whether a call may be made again though nobody can foretell what
// it leaves and it is not known whether it was made: what it changes is on the way
// that the table says it leads, or is as it was before, untouched by anybody.
func (s ImageSpec) MayRepeat(before, now Image) bool {
	r := s.op.Repeat
	if r == nil || !s.accounted() || !now.Exists {
		return false
	}
	if is, ok := lookup(now.Data, r.Member); ok && slices.Contains(r.Through, fmt.Sprint(is)) {
		return true
	}
	for _, m := range r.Witness {
		was, _ := lookup(before.Data, m)
		is, _ := lookup(now.Data, m)
		if compact(was) != compact(is) {
			return false
		}
	}
	return s.Equal(before, now)
}

// opaque reports whether the call has a member whose effect the row cannot tell.
func (s ImageSpec) opaque() bool {
	return slices.ContainsFunc(s.op.Opaque, func(m string) bool {
		_, ok := lookup(s.call.Input, m)
		return ok || m == "*"
	})
}

// accounted reports whether the row knows every member of the call. One that it
// does not know changes something that the image does not show, or not so that
// the inverse brings it back.
func (s ImageSpec) accounted() bool {
	return s.op.mentioned["*"] || s.covers("", s.call.Input)
}

func (s ImageSpec) covers(path string, in map[string]any) bool {
	for name, v := range in {
		at := join(path, name)
		if v == nil || s.op.mentioned[at] {
			continue
		}
		m, isMap := v.(map[string]any)
		if !isMap || !s.mentionsBelow(at) || !s.covers(at, m) {
			return false
		}
	}
	return true
}

func (s ImageSpec) mentionsBelow(path string) bool {
	for m := range s.op.mentioned {
		if strings.HasPrefix(m, path+".") || strings.HasPrefix(m, path+"[") {
			return true
		}
	}
	return false
}

// updated lays what the call names over the image.
func (s ImageSpec) updated(before Image) (Image, bool) {
	if !before.Exists {
		return Image{}, false
	}
	var data any = before.Data
	for member, to := range s.op.Update {
		v, ok := lookup(s.call.Input, member)
		if !ok {
			continue
		}
		at, _, _ := strings.Cut(to, "|")
		steps, err := parsePath(at)
		if err != nil {
			return Image{}, false
		}
		data = putPath(data, steps, v)
	}
	return image(data)
}

// Inverse gives the calls that bring before back after the call was applied, and
// what they restore. Restores is "" when there is no way back from this call; no
// calls with a text mean that the call changes nothing.
func (s ImageSpec) Inverse(before Image) (calls []InverseCall, restores string) {
	if !s.accounted() {
		return nil, ""
	}
	var ok bool
	switch {
	case len(s.op.Update) > 0:
		calls, ok = s.updateInverse(before)
	case s.op.Add != nil || s.op.Remove != nil:
		calls, ok = s.setInverse(before)
	default:
		calls, ok = s.wholeInverse(before)
	}
	if !ok {
		return nil, ""
	}
	return calls, s.row.Restores
}

// InverseCall is one call of the way back.
type InverseCall struct {
	Call
	// Fresh are input members that must be taken from a read right before the
	// call, such as the revision that an update has to name: input member to
	// member of the answer to FreshRead.
	Fresh     map[string]string
	FreshRead Call
}

func (s ImageSpec) restore() restore {
	if s.op.Restore != nil {
		return *s.op.Restore
	}
	return s.row.Restore
}

// wholeInverse puts the whole image back.
func (s ImageSpec) wholeInverse(before Image) ([]InverseCall, bool) {
	r := s.restore()
	list := r.Absent
	switch {
	case len(r.Cases) > 0:
		v, _ := lookup(before.Data, r.Member)
		list = r.Cases[fmt.Sprint(v)]
	case before.Exists:
		list = r.Present
	}
	var calls []InverseCall
	for _, inv := range list {
		if t := s.template(before.Data); t.hold(inv.When, before.Data) {
			calls = append(calls, s.back(inv, t))
		}
	}
	return calls, len(calls) > 0
}

// back makes the call of an inverse.
func (s ImageSpec) back(inv inverse, t rowTemplate) InverseCall {
	in := map[string]any{}
	if !inv.Bare {
		in = s.named()
	}
	v, _ := t.expand(inv.Input)
	if m, ok := v.(map[string]any); ok {
		maps.Copy(in, m)
	}
	whole, _ := integral(in).(map[string]any)
	c := InverseCall{Call: Call{Service: s.row.service, Operation: inv.Operation, Account: s.call.Account, Region: s.call.Region, As: s.call.As, Input: whole}}
	if len(inv.Fresh) > 0 {
		c.Fresh, c.FreshRead = inv.Fresh, s.ReadCall()
	}
	return c
}

// updateInverse names the members that the call named, with what they were.
func (s ImageSpec) updateInverse(before Image) ([]InverseCall, bool) {
	if !before.Exists {
		return nil, false
	}
	inv := inverse{Operation: s.Operation}
	if u := s.restore().Update; u != nil {
		inv = *u
		if inv.Operation == "" {
			inv.Operation = s.Operation
		}
	}
	var touched any
	t := s.template(before.Data)
	if !t.hold(inv.When, before.Data) {
		return nil, false
	}
	for member, from := range s.op.Update {
		if _, ok := lookup(s.call.Input, member); !ok {
			continue
		}
		was, ok := t.text("$before." + from)
		steps, err := parsePath(member)
		if !ok || err != nil {
			return nil, false // what was not there cannot be named
		}
		touched = putPath(touched, steps, was)
	}
	c := s.back(inv, t)
	if m, ok := integral(touched).(map[string]any); ok {
		maps.Copy(c.Input, m)
	}
	return []InverseCall{c}, true
}

// integral makes whole numbers of an image integers again, as the models want
// them in an input.
func integral(v any) any {
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = integral(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = integral(x)
		}
		return out
	}
	return v
}

// UndoRank orders the inverses of one plan where their reverse order alone would
// be refused: -1 goes before the others, 1 after them, 0 in reverse order. A
// switch that refuses other changes (Block Public Access) must be turned off
// before those changes are undone, and may be turned on only after.
func (s ImageSpec) UndoRank(before, now Image) int {
	if s.row.Switches == "" {
		return 0
	}
	rank := 0
	was, is := switches(before, s.row.Switches), switches(now, s.row.Switches)
	for name := range is {
		if is[name] && !was[name] {
			return -1
		}
	}
	for name := range was {
		if was[name] && !is[name] {
			rank = 1
		}
	}
	return rank
}

func switches(img Image, member string) map[string]bool {
	out := map[string]bool{}
	m, _ := img.Data[member].(map[string]any)
	for k, v := range m {
		if on, ok := v.(bool); ok {
			out[k] = on
		}
	}
	return out
}
