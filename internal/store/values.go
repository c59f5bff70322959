package store

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// maxID bounds every identifier: PostgreSQL has no index entry for a longer one.
const maxID = 512

// checkID refuses an identifier that one of the databases could not keep.
func checkID(op, what, id string) error {
	switch {
	case id == "":
		return invalid(op, "%s is empty", what)
	case len(id) > maxID:
		return invalid(op, "%s has %d bytes, more than %d", what, len(id), maxID)
	case strings.ContainsRune(id, 0) || !utf8.ValidString(id):
		return invalid(op, "%s is not plain text", what)
	}
	return nil
}

// text makes s fit for a text column of at most limit bytes: PostgreSQL keeps no
// zero bytes and no broken UTF-8, and index entries are bounded. The document
// keeps the whole.
func text(s string, limit int) string {
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// micros is how a time is stored: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// blob is b for a column that takes no null.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// orNil undoes blob: the databases read an empty value back differently.
func orNil(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// list is a JSON array as one parameter, for statements that unpack it.
func list[T any](v []T) (string, error) {
	if v == nil {
		v = []T{}
	}
	raw, err := json.Marshal(v)
	return string(raw), err
}

// aad binds a sealed value to its table and primary key.
func aad(table string, key ...string) []byte {
	return []byte(table + "\x00" + strings.Join(key, "\x00"))
}

// sealJSON seals v for one row.
func (s *Store) sealJSON(v any, aad []byte) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.sealer.Seal(raw, aad)
}

func (s *Store) openJSON(sealed, aad []byte, v any) error {
	raw, err := s.sealer.Open(sealed, aad)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}
