package rehearse

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		want, got any
		differs   string // "" = it fits
	}{
		"a part of a map":      {map[string]any{"a": int64(1)}, map[string]any{"a": 1, "b": 2}, ""},
		"a member is missing":  {map[string]any{"a": int64(1)}, map[string]any{"b": 2}, "a: want 1, got nothing"},
		"absent":               {map[string]any{"a": nil}, map[string]any{"b": 2}, ""},
		"not absent":           {map[string]any{"a": nil}, map[string]any{"a": 2}, "a: want nothing, got 2"},
		"numbers by value":     {3, 3.0, ""},
		"text is no number":    {3, "3", `$: want 3, got "3"`},
		"text is no boolean":   {true, "true", `$: want true, got "true"`},
		"a list in order":      {[]any{1, 2}, []any{2, 1}, "[0]: want 1, got 2; [1]: want 2, got 1"},
		"a longer list":        {[]any{1}, []any{1, 2}, "$: want [1], got [1,2]"},
		"items have more":      {[]any{map[string]any{"a": 1}}, []any{map[string]any{"a": 1, "b": 2}}, ""},
		"policy text":          {map[string]any{"Statement": []any{map[string]any{"Sid": "A"}}}, `{"Statement":[{"Sid":"A","Effect":"Deny"}]}`, ""},
		"text that is no JSON": {map[string]any{"a": 1}, "a", `$: want {"a":1}, got "a"`},
		"deep":                 {map[string]any{"a": []any{map[string]any{"b": "x"}}}, map[string]any{"a": []any{map[string]any{"b": "y"}}}, `a[0].b: want "x", got "y"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(match(tt.want, tt.got), "; "); got != tt.differs {
				t.Errorf("differences %q, want %q", got, tt.differs)
			}
		})
	}
}

func TestMatchOutput(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		want any
		got  []string
		fits bool
	}{
		"text":           {"a", []string{"a"}, true},
		"a number":       {5, []string{"5"}, true},
		"a boolean":      {true, []string{"true"}, true},
		"a map":          {map[string]any{"a": "b"}, []string{`{"a":"b","c":1}`}, true},
		"a list":         {[]any{"a", "b"}, []string{"a", "b"}, true},
		"a list as JSON": {[]any{map[string]any{"a": 1}}, []string{`[{"a":1}]`}, true},
		"another text":   {"a", []string{"b"}, false},
		"nothing":        {nil, nil, true},
		"not nothing":    {nil, []string{"a"}, false},
		"too many":       {"a", []string{"a", "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := matchOutput(tt.want, tt.got); (len(d) == 0) != tt.fits {
				t.Errorf("differences %q", d)
			}
		})
	}
}

func TestManyDifferencesAreCounted(t *testing.T) {
	t.Parallel()
	want, got := []any{}, []any{}
	for range 50 {
		want, got = append(want, 1), append(got, 2)
	}
	if d := match(want, got); len(d) != maxDifferences+1 || d[maxDifferences] != "and 40 more" {
		t.Errorf("differences %q", d)
	}
}
