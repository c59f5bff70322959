package script

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestCodecKeepsWhatJSONHasNoFormFor(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{
		"null": nil, "text": "a\"<>&\u2028", "bytes": []byte{0, 1, 255}, "no bytes": []byte{}, "int": int64(math.MaxInt64), "least": int64(math.MinInt64),
		"float": 0.1, "whole float": 3.0, "large float": 1e300, "infinite": math.Inf(-1), "time": time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), "bool": true,
		"list": []any{int64(1), []any{}, map[string]any{}}, "map": map[string]any{"a": []byte("x"), "": nil},
		"own tag": map[string]any{"$b": "not base64"}, "own tags": map[string]any{"$t": int64(1), "$o": []any{int64(1)}, "x": map[string]any{"$": nil}},
	} {
		raw, err := encode(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := decode(raw)
		if diff := cmp.Diff(v, got, cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Errorf("%s: %v, %s (-want +got):\n%s", name, err, raw, diff)
		}
	}
}

func TestCodecRefuses(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"tag": `{"$x":"y"}`, "bytes": `{"$b":"%"}`, "bytes of a number": `{"$b":1}`, "time": `{"$t":"yesterday"}`, "decimal": `{"$d":"x"}`, "pairs": `{"$o":{}}`,
		"pair": `{"$o":[[1,2]]}`, "long pair": `{"$o":[["a",2,3]]}`, "number": `1e999`, "two": `1 2`, "cut": `{"a":`, "empty": ``, "below": `{"a":[{"$b":"%"}]}`,
	} {
		if got, err := decode([]byte(raw)); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := encode(struct{}{}); !errors.Is(err, errValue) {
		t.Errorf("a struct: %v", err)
	}
	circle := map[string]any{}
	circle["x"] = circle
	if _, err := encode(circle); !errors.Is(err, errValue) {
		t.Errorf("a circle: %v", err)
	}
}

func TestFramesAreBounded(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	if err := writeFrame(&buf, []byte(`{"a":1}`), 100); err != nil {
		t.Fatal(err)
	}
	got, err := readFrame(&buf, 100)
	if err != nil || string(got) != `{"a":1}` {
		t.Errorf("%q, %v", got, err)
	}
	if err := writeFrame(&buf, make([]byte, 101), 100); !errors.Is(err, errFrame) {
		t.Errorf("written: %v", err)
	}
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"too large": {"\xff\xff\xff\xff", errFrame}, "nested": {frame(strings.Repeat("[", maxDepth+1)), errShape}, "wide": {frame("[" + strings.Repeat("1,", maxNodes+1)), errShape},
		"brackets in text": {frame(`"` + strings.Repeat(`[\"`, maxDepth+1) + `"`), nil},
	} {
		if _, err := readFrame(strings.NewReader(c.raw), 4<<20); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, raw := range []string{"", "\x00", "\x00\x00\x00\x05abc"} {
		if _, err := readFrame(strings.NewReader(raw), 100); err == nil {
			t.Errorf("%q was read", raw)
		}
	}
}

func frame(text string) string {
	var buf bytes.Buffer
	_ = writeFrame(&buf, []byte(text), 64<<20)
	return buf.String()
}

// FuzzMessage gives the Go side whatever a process may send: it is refused, or it
// is a value that is sent back as it came.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{`{"t":"call","input":{"$b":"AAE="}}`, `{"$o":[["$t",1]]}`, `[1,2.5,{"$t":"2026-01-02T03:04:05Z"}]`, `{"$f":"nan"}`, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		read, err := readFrame(strings.NewReader(frame(string(raw))), 1<<20)
		if err != nil {
			return
		}
		v, err := decode(read)
		if err != nil {
			return
		}
		again, err := encode(v)
		if errors.Is(err, errValue) {
			return // nested deeper than we send
		}
		if err != nil {
			t.Fatalf("%#v: %v", v, err)
		}
		back, err := decode(again)
		if diff := cmp.Diff(v, back, cmpopts.EquateNaNs()); err != nil || diff != "" {
			t.Fatalf("%s became %s: %v\n%s", raw, again, err, diff)
		}
	})
}
