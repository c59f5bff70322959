package apimodel

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed" // the table is data, not code
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed secrets.json
var secretsJSON []byte

// secretTable is what the models do not mark: known secret members. Names are
// folded (no case, no hyphens).
type secretTable struct {
	Suffixes []string    `json:"suffixes"` // ends of names of members that hold a secret text
	Names    []string    `json:"names"`    // whole names
	Maps     []string    `json:"maps"`     // ends of names of maps and lists whose values are secret
	Public   []string    `json:"public"`   // names that only look like it
	Pairs    [][2]string `json:"pairs"`    // members of a structure: the first names what the second holds
	Members  []struct {
		Service, Shape, Member, Reason string
	} `json:"members"`

	members map[string]bool // "service shape member"
}

// secrets parses the embedded table once. It is never written afterwards.
var secrets = sync.OnceValues(func() (*secretTable, error) {
	t := &secretTable{members: map[string]bool{}}
	if err := json.Unmarshal(secretsJSON, t); err != nil {
		return nil, fmt.Errorf("parse table of secret members: %w", err)
	}
	for _, m := range t.Members {
		t.members[m.Service+" "+m.Shape+" "+m.Member] = true
	}
	return t, nil
})

// names reports whether a member of that name holds a secret text.
func (t *secretTable) names(name string) bool {
	name = foldName(name)
	if slices.Contains(t.Public, name) {
		return false
	}
	return slices.Contains(t.Names, name) || slices.ContainsFunc(t.Suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// holds reports whether the member m of s holds secret values.
func (t *secretTable) holds(service string, s *Shape, m Member) bool {
	if t.members[service+" "+s.Name+" "+m.Name] {
		return true
	}
	value := m.Shape
	switch {
	case value.Type == Map:
		name := foldName(m.Name)
		return slices.ContainsFunc(t.Maps, func(s string) bool { return strings.HasSuffix(name, s) })
	case value.Type == List:
		value = value.Elem.Shape
	case value.Type == Structure && len(value.Members) == 1:
		value = value.Members[0].Shape // a wrapper: ec2's {"UserData": {"Value": "..."}}
	}
	return (value.Type == String || value.Type == Blob) && len(value.Enum) == 0 && t.names(m.Name)
}

// Redactor replaces secret values by a mark: "[redacted hmac:3f9a1c04d2be]". The
// mark is a keyed digest, so that people see whether a value changed, and nobody
// without the key can try values until one fits.
type Redactor struct {
	key   []byte
	table *secretTable
}

// NewRedactor gives a redactor of one installation. The key is at least 16 bytes.
func NewRedactor(key []byte) (*Redactor, error) {
	if len(key) < 16 {
		return nil, fmt.Errorf("the redaction key has %d bytes, 16 are the least", len(key))
	}
	table, err := secrets()
	return &Redactor{key: slices.Clone(key), table: table}, err
}

// Input copies an operation's input without its secret values.
func (r *Redactor) Input(service string, op *Operation, in map[string]any) map[string]any {
	return r.structure(service, op.Input, in, nil)
}

// Output copies an operation's output, or an image made of its members, without
// its secret values.
func (r *Redactor) Output(service string, op *Operation, out map[string]any) map[string]any {
	return r.structure(service, op.Output, out, nil)
}

// Image copies an image, which is a part of what the operation answers, without
// its secret values.
func (r *Redactor) Image(service string, op *Operation, spec ImageSpec, img Image) Image {
	s := op.Output
	steps, err := parsePath(spec.row.Read.Select)
	if err != nil {
		return Image{Exists: img.Exists} // CheckImages has refused such a row
	}
	for _, step := range steps {
		m, ok := s.Member(step.name)
		if !ok {
			return Image{Exists: img.Exists}
		}
		if s = m.Shape; step.list && s.Type == List {
			s = s.Elem.Shape
		}
	}
	img.Data = r.structure(service, s, img.Data, nil)
	return img
}

// Free copies values that no model describes, such as a runbook's parameters,
// without those whose names are those of secrets.
func (r *Redactor) Free(v map[string]any) map[string]any { return r.structure("", nil, v, nil) }

// Secrets lists the secret texts of an operation's input, longest first, as they
// could come back in an error.
func (r *Redactor) Secrets(service string, op *Operation, in map[string]any) []string {
	return r.secrets(service, op.Input, in)
}

// FreeSecrets lists what Free hides.
func (r *Redactor) FreeSecrets(v map[string]any) []string { return r.secrets("", nil, v) }

func (r *Redactor) secrets(service string, s *Shape, v map[string]any) []string {
	var found []string
	r.structure(service, s, v, &found)
	slices.SortFunc(found, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(found)
}

// leastSecret is the length under which a secret is not looked for in other
// texts: "a" is in every sentence.
const leastSecret = 4

// Scrub replaces every one of secrets in text.
func (r *Redactor) Scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= leastSecret && strings.Contains(text, s) {
			text = strings.ReplaceAll(text, s, r.mark(s))
		}
	}
	return text
}

// Digest is the keyed SHA-256 of v as JSON, in hexadecimal: equal values have
// equal digests. It is "" for what is no JSON.
func (r *Redactor) Digest(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(r.sum(raw))
}

func (r *Redactor) sum(raw []byte) []byte {
	h := hmac.New(sha256.New, r.key)
	h.Write(raw)
	return h.Sum(nil)
}

// markDigits is how much of the digest a mark shows: 48 bits tell two values
// apart for a person.
const markDigits = 12

const markPrefix = "[redacted hmac:"

func (r *Redactor) mark(v any) string {
	return markPrefix + r.Digest(v)[:markDigits] + "]"
}

// redaction is one walk over a value.
type redaction struct {
	r       *Redactor
	service string
	found   *[]string // collects the secret texts; nil makes the copy only
}

func (r *Redactor) structure(service string, s *Shape, in map[string]any, found *[]string) map[string]any {
	if in == nil {
		return nil
	}
	w := redaction{r: r, service: service, found: found}
	out, _ := w.value(s, in, open).(map[string]any)
	return out
}

// cover says what is hidden below a place.
type cover int

const (
	open    cover = iota
	values        // by the table: the keys of a map say what is hidden
	keysToo       // by the model
)

// value copies v, which the model calls s (nil = the model does not know it).
func (w redaction) value(s *Shape, v any, c cover) any {
	if s != nil && s.Sensitive {
		c = keysToo
	}
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		return w.object(s, v, c)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = w.value(elemOf(s), x, c)
		}
		return out
	case []string:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = w.value(elemOf(s), x, c)
		}
		return out
	}
	if c == open || v == "" {
		return v
	}
	return w.hide(v)
}

func (w redaction) hide(v any) any {
	if w.found != nil {
		switch v := v.(type) {
		case string:
			*w.found = append(*w.found, v)
		case []byte:
			*w.found = append(*w.found, string(v))
		default:
			*w.found = append(*w.found, fmt.Sprint(v))
		}
	}
	if text, ok := v.(string); ok && strings.HasPrefix(text, markPrefix) {
		return v // redacted before
	}
	return w.r.mark(v)
}

func elemOf(s *Shape) *Shape {
	if s == nil {
		return nil
	}
	return s.Elem.Shape
}

// object copies a structure or a map.
func (w redaction) object(s *Shape, v map[string]any, c cover) map[string]any {
	named := w.named(v)
	out := make(map[string]any, len(v))
	for k, x := range v {
		key, below, hidden := k, (*Shape)(nil), named[k]
		switch m, isMember := s.Member(k); {
		case isMember:
			below, hidden = m.Shape, hidden || w.r.table.holds(w.service, s, m)
		case s != nil && s.Type == Map:
			below, hidden = s.Value.Shape, hidden || w.r.table.names(k)
			if c == keysToo || s.Key.Shape.Sensitive {
				key, _ = w.hide(k).(string)
			}
		default: // a document, or what no model knows
			hidden = hidden || w.r.table.names(k)
		}
		under := c
		if hidden {
			under = max(c, values)
		}
		out[key] = w.value(below, x, under)
	}
	return out
}

// named finds the members whose neighbour names a secret: the Value of
// {Name: "DB_PASSWORD", Value: "x"}.
func (w redaction) named(v map[string]any) map[string]bool {
	var out map[string]bool
	for k, name := range v {
		text, ok := name.(string)
		if !ok || !strings.HasSuffix(strings.ToLower(k), "name") && !strings.HasSuffix(strings.ToLower(k), "key") || !w.r.table.names(text) {
			continue
		}
		for other := range v {
			if slices.Contains(w.r.table.Pairs, [2]string{foldName(k), foldName(other)}) {
				if out == nil {
					out = map[string]bool{}
				}
				out[other] = true
			}
		}
	}
	return out
}
