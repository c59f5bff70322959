package apimodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// ImageFrom takes the image from what the read answered. An error that does not
// mean "there is none" is returned as it is.
func (s ImageSpec) ImageFrom(r Reply, err error) (Image, error) {
	if err != nil {
		var api *APIError
		if errors.As(err, &api) && slices.Contains(s.row.Read.Absent, api.Code) {
			return Image{}, nil
		}
		return Image{}, err
	}
	img := Image{}
	s.selected(r.Output, func(found map[string]any) (map[string]any, bool) {
		if img.Exists {
			return found, true // the first one counts
		}
		img.Exists, img.Data = true, map[string]any{}
		later, _ := found[s.row.Pending].(map[string]any)
		for _, m := range s.row.Members {
			v, ok := later[m]
			if !ok {
				v, ok = found[m]
			}
			if !ok || v == nil {
				continue
			}
			flat, wrong := plain(v)
			if wrong != nil {
				err = fmt.Errorf("read %s of %s: %w", m, s.row.Read.Operation, wrong)
			}
			img.Data[m] = s.encoded(m, flat)
		}
		return found, true
	})
	if err == nil && HasMore(r) && (!img.Exists || s.row.Set != nil) {
		err = fmt.Errorf("read %s: the answer has further pages", s.row.Read.Operation)
	}
	if err != nil {
		return Image{}, err
	}
	return img, nil
}

// maxImagePages bounds the pages that one image may have.
const maxImagePages = 100

// pageTokens are the members with which AWS hands on to the next page, in the
// answer and in the next request.
var pageTokens = [][2]string{
	{"NextToken", "NextToken"}, {"nextToken", "nextToken"}, {"NextMarker", "Marker"}, {"Marker", "Marker"}, {"position", "position"},
}

// nextPage gives the token of the next page and the input member that it goes into.
func nextPage(out map[string]any) (member, token string) {
	for _, names := range pageTokens {
		if token, _ := out[names[0]].(string); token != "" {
			return names[1], token
		}
	}
	return "", ""
}

// HasMore reports whether an answer is only the first page.
func HasMore(r Reply) bool {
	member, _ := nextPage(r.Output)
	truncated, _ := r.Output["IsTruncated"].(bool)
	return member != "" || truncated
}

// Read makes the read of the image through send, all pages of it.
func (s ImageSpec) Read(send func(Call) (Reply, error)) (Reply, error) {
	c := s.ReadCall()
	whole, err := send(c)
	for n := 1; err == nil && n < maxImagePages; n++ {
		member, token := nextPage(whole.Output)
		if member == "" {
			break
		}
		next := c.Clone()
		next.Input[member] = token
		var page Reply
		if page, err = send(next); err == nil {
			whole = joinPages(whole, page)
		}
	}
	return whole, err
}

// joinPages appends the lists of a page and takes its token over.
func joinPages(whole, page Reply) Reply {
	out := maps.Clone(whole.Output)
	delete(out, "IsTruncated")
	for _, names := range pageTokens {
		delete(out, names[0])
	}
	for k, v := range page.Output {
		old, isList := out[k].([]any)
		more, areLists := v.([]any)
		if isList && areLists {
			v = slices.Concat(old, more)
		}
		out[k] = v
	}
	return Reply{Output: out}
}

// Shows reports whether the read c can show what the spec's call changes.
func (s ImageSpec) Shows(c Call) bool {
	own := s.ReadCall()
	if !strings.EqualFold(c.Service, own.Service) || c.Operation != own.Operation || c.Account != own.Account {
		return false
	}
	if strings.Contains(s.row.ARN, "{region}") && c.Region != own.Region {
		return false
	}
	if strings.Contains(s.row.Read.Select, "=") {
		return true // the reply itself tells
	}
	names := s.row.Identity
	if s.row.Read.Input != nil {
		names = nil
		for m, t := range s.row.Read.Input {
			if len(inputPaths(t)) > 0 {
				names = append(names, m)
			}
		}
	}
	for _, m := range names {
		if !sameName(c.Input[m], own.Input[m]) {
			return false
		}
	}
	return true
}

// sameName compares two names of a resource, of which either may be its ARN.
func sameName(a, b any) bool {
	x, isText := a.(string)
	y, areText := b.(string)
	if !isText || !areText {
		return reflect.DeepEqual(a, b)
	}
	return x == y || isARNOf(x, y) || isARNOf(y, x)
}

func isARNOf(arn, name string) bool {
	return strings.HasPrefix(arn, "arn:") && name != "" && (strings.HasSuffix(arn, ":"+name) || strings.HasSuffix(arn, "/"+name))
}

// Holds reports whether an answer of the spec's read is about the thing.
func (s ImageSpec) Holds(r Reply) bool {
	found := false
	s.selected(r.Output, func(m map[string]any) (map[string]any, bool) {
		found = true
		return m, true
	})
	return found
}

// IsWhole reports whether the image holds everything that its read, which is read,
// answers: Answer then needs no answer of AWS to start from.
func (s ImageSpec) IsWhole(read *Operation) bool {
	if s.row.Read.Select != "" || s.row.Pending != "" || read.Output == nil {
		return false
	}
	return !slices.ContainsFunc(read.Output.Members, func(m Member) bool { return !slices.Contains(s.row.Members, m.Name) })
}

// Answer is ImageFrom backwards: what a read that Shows the thing answers when
// it is as img says, where AWS answers base now. What is not part of the image
// is kept.
func (s ImageSpec) Answer(read Call, img Image, base Reply) (Reply, error) {
	alone := s.row.Read.Select == "" || ReadKey(read) == ReadKey(s.ReadCall())
	if !img.Exists && alone && len(s.row.Read.Absent) > 0 {
		return Reply{}, &APIError{
			Service: s.row.service, Operation: s.row.Read.Operation, Code: s.row.Read.Absent[0],
			Message: "The " + s.row.Aspect + " will not exist once the planned change is applied", HTTPStatus: 404,
		}
	}
	flat, err := plain(img.Data)
	if err != nil {
		return Reply{}, err
	}
	data, _ := flat.(map[string]any)
	out := base.Output
	if out == nil {
		out = map[string]any{}
	}
	out = s.selected(out, func(found map[string]any) (map[string]any, bool) {
		if !img.Exists && s.row.Read.Select != "" {
			return nil, false
		}
		found = maps.Clone(found)
		for _, m := range s.row.Members {
			delete(found, m)
			if v, ok := data[m]; ok {
				found[m] = s.decoded(m, v)
			}
		}
		if later, ok := found[s.row.Pending].(map[string]any); ok {
			found[s.row.Pending] = without(later, s.row.Members)
		}
		return found, true
	})
	return Reply{Output: out}, nil
}

func without(m map[string]any, names []string) map[string]any {
	out := maps.Clone(m)
	for _, name := range names {
		delete(out, name)
	}
	return out
}

// encoded makes text again of a document that boto3 hands out decoded: text is
// what the operations that put it take.
func (s ImageSpec) encoded(member string, v any) any {
	if _, isText := v.(string); isText || !slices.Contains(s.row.Decoded, member) {
		return v
	}
	return compact(v)
}

// decoded is encoded backwards.
func (s ImageSpec) decoded(member string, v any) any {
	text, isText := v.(string)
	var doc map[string]any
	if !isText || !slices.Contains(s.row.Decoded, member) || json.Unmarshal([]byte(text), &doc) != nil {
		return v
	}
	return doc
}

// selected visits the object that the row's read is about and copies what leads
// there; visit gives its replacement, or false to take it out.
func (s ImageSpec) selected(out map[string]any, visit func(map[string]any) (map[string]any, bool)) map[string]any {
	steps, err := parsePath(s.row.Read.Select)
	if err != nil {
		return out // CheckImages has refused such a row
	}
	got, _ := s.descend(out, steps, visit).(map[string]any)
	return got
}

func (s ImageSpec) descend(v any, steps []pathStep, visit func(map[string]any) (map[string]any, bool)) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if len(steps) == 0 {
		if got, keep := visit(m); keep {
			return got
		}
		return nil
	}
	step := steps[0]
	next, ok := m[step.name]
	if !ok {
		return v
	}
	m = maps.Clone(m)
	list, isList := next.([]any)
	if !step.list || !isList {
		m[step.name] = s.descend(next, steps[1:], visit)
		return m
	}
	kept := make([]any, 0, len(list))
	for i, x := range list {
		if s.chosen(step, i, x) {
			x = s.descend(x, steps[1:], visit)
		}
		if x != nil {
			kept = append(kept, x)
		}
	}
	m[step.name] = kept
	return m
}

// chosen reports whether element i of a list is on the path.
func (s ImageSpec) chosen(step pathStep, i int, x any) bool {
	switch {
	case step.key != "":
		m, _ := x.(map[string]any)
		want, ok := s.template(nil).text(step.want)
		return ok && sameName(m[step.key], want)
	case step.index >= 0:
		return i == step.index
	}
	return true
}
