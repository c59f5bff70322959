package securityhub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/parry-security/parry/internal/awsfront/protocol"
)

// maxDepth bounds nesting, before the decoder sees the text.
const maxDepth = 64

// object is a request body by member. Members are looked up with their exact
// case, as AWS does and encoding/json does not.
type object struct {
	raw     []byte
	members map[string]json.RawMessage
}

func invalid(parameter, format string, args ...any) error {
	return &protocol.Error{
		Status: http.StatusBadRequest, Code: "InvalidInputException",
		Message: "Invalid parameter '" + parameter + "'. " + fmt.Sprintf(format, args...) + ".",
	}
}

func broken(format string, args ...any) error {
	return &protocol.Error{
		Status: http.StatusBadRequest, Code: "InvalidInputException",
		Message: "The request body is not valid JSON: " + fmt.Sprintf(format, args...) + ".",
	}
}

// readObject reads the body, which is an object or empty.
func readObject(r *http.Request) (object, error) {
	raw, err := protocol.ReadBody(r)
	if err != nil {
		return object{}, broken("it ended early")
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	if at := protocol.TooDeep(raw, maxDepth); at >= 0 {
		return object{}, broken("%s: nested more than %d levels", place(raw, at), maxDepth)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return object{}, broken("%s: %s", place(raw, int(syntax.Offset)), syntax)
		}
		return object{}, invalid("body", "data should be object")
	}
	if members == nil {
		return object{}, invalid("body", "data should be object")
	}
	return object{raw, members}, nil
}

// place names a position as people count.
func place(raw []byte, offset int) string {
	offset = min(max(offset, 0), len(raw))
	line := 1 + bytes.Count(raw[:offset], []byte{'\n'})
	column := offset - (bytes.LastIndexByte(raw[:offset], '\n') + 1)
	return fmt.Sprintf("line %d, column %d", line, max(column, 1))
}

// given gives a member that is there and not null.
func (o object) given(name string) (json.RawMessage, bool) {
	raw, ok := o.members[name]
	return raw, ok && string(raw) != "null"
}

func (o object) list(name string, least, most int) ([]json.RawMessage, error) {
	raw, ok := o.given(name)
	if !ok {
		return nil, invalid(name, "data should have required property '%s'", name)
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, invalid(name, "data.%s should be array", name)
	}
	switch {
	case len(items) < least:
		return nil, invalid(name, "data.%s should NOT have fewer than %d items", name, least)
	case len(items) > most:
		return nil, invalid(name, "data.%s should NOT have more than %d items, it has %d", name, most, len(items))
	}
	return items, nil
}

func (o object) object(name string) (json.RawMessage, error) {
	raw, ok := o.given(name)
	if !ok {
		return nil, nil
	}
	if raw[0] != '{' {
		return nil, invalid(name, "data.%s should be object", name)
	}
	return raw, nil
}

func (o object) integer(name string, least, most, otherwise int) (int, error) {
	raw, ok := o.given(name)
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.Atoi(string(raw))
	switch {
	case err != nil:
		return 0, invalid(name, "data.%s should be integer", name)
	case n < least:
		return 0, invalid(name, "data.%s should be >= %d", name, least)
	case n > most:
		return 0, invalid(name, "data.%s should be <= %d", name, most)
	}
	return n, nil
}

func (o object) text(name string, most int) (string, error) {
	raw, ok := o.given(name)
	if !ok {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", invalid(name, "data.%s should be string", name)
	}
	if len(s) > most {
		return "", invalid(name, "data.%s should NOT be longer than %d characters", name, most)
	}
	return s, nil
}

// maxSort bounds the sort keys of one request.
const maxSort = 4

func (o object) sort() ([]SortCriterion, error) {
	if _, ok := o.given("SortCriteria"); !ok {
		return nil, nil
	}
	items, err := o.list("SortCriteria", 0, maxSort)
	if err != nil {
		return nil, err
	}
	keys := make([]SortCriterion, len(items))
	for i, raw := range items {
		if err := json.Unmarshal(raw, &keys[i]); err != nil || raw[0] != '{' {
			return nil, invalid("SortCriteria", "data.SortCriteria[%d] should be object of strings", i)
		}
		switch keys[i].SortOrder {
		case "asc", "desc":
		case "":
			keys[i].SortOrder = "asc"
		default:
			return nil, invalid("SortCriteria", "data.SortCriteria[%d].SortOrder should be equal to one of the allowed values: asc, desc", i)
		}
		if keys[i].Field == "" || len(keys[i].Field) > 256 {
			return nil, invalid("SortCriteria", "data.SortCriteria[%d].Field should be 1 to 256 characters", i)
		}
	}
	return keys, nil
}
