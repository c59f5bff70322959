package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// canonical gives JSON text in its canonical form. Repeated members are kept, so
// that adding one changes the hash.
func canonical(raw []byte) ([]byte, error) {
	if len(raw) == 0 {
		return []byte("null"), nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out bytes.Buffer
	if err := canonicalValue(d, &out); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read record: text after the value")
	}
	return out.Bytes(), nil
}

func canonicalValue(d *json.Decoder, out *bytes.Buffer) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return canonicalObject(d, out)
		}
		return canonicalArray(d, out)
	case string:
		return canonicalString(v, out)
	case json.Number:
		out.WriteString(v.String())
	case bool:
		fmt.Fprint(out, v)
	case nil:
		out.WriteString("null")
	}
	return nil
}

func canonicalArray(d *json.Decoder, out *bytes.Buffer) error {
	out.WriteByte('[')
	for first := true; d.More(); first = false {
		if !first {
			out.WriteByte(',')
		}
		if err := canonicalValue(d, out); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	_, err := d.Token()
	return err
}

func canonicalObject(d *json.Decoder, out *bytes.Buffer) error {
	type member struct {
		name string
		text []byte
	}
	var members []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := canonicalValue(d, &text); err != nil {
			return err
		}
		members = append(members, member{fmt.Sprint(name), text.Bytes()})
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	out.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := canonicalString(m.name, out); err != nil {
			return err
		}
		out.WriteByte(':')
		out.Write(m.text)
	}
	out.WriteByte('}')
	return nil
}

// canonicalString writes s as encoding/json does, without HTML escapes.
func canonicalString(s string, out *bytes.Buffer) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // Encode ends with a line break
	return nil
}
