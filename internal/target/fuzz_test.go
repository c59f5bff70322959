package target_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

// kinds gives the kinds of the tokens of JSON texts, and whether they are that.
func kinds(text []byte) (string, bool) {
	var out strings.Builder
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return out.String(), true
		}
		if err != nil {
			return "", false
		}
		out.WriteByte(byte(token.Kind()))
	}
}

// FuzzRender: whatever an event says, a template stays JSON, and where its variables are
// all in strings it stays the JSON that it is.
func FuzzRender(f *testing.F) {
	for _, template := range []string{
		`"instance <a> is in <b>"`, `{"x":<a>,"y":"<b>"}`, "\"<a>\"\n\"<b>\"", `{"e":<aws.events.event>,"j":<aws.events.event.json>}`, `["\"<a>\"",<b>]`,
		`{"a\"<a>":1}`, `"\\<a>"`, `<a>`, `"<aws.events.rule-name>"`,
	} {
		f.Add(template, "$.detail.s", "$.detail.*", guideEvent)
		f.Add(template, "$.detail", "$['x'][0]", `{"detail":{"s":"\",\"x\":\"\\\ud83d\ude00"},"x":[{"a":"b\n"}]}`)
	}
	f.Fuzz(func(t *testing.T, template, a, b, event string) {
		one := target.Target{ID: "t", InputTransformer: &target.InputTransformer{InputPathsMap: map[string]string{"a": a, "b": b}, InputTemplate: template}}
		in, err := one.Compile(target.Options{})
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("compile: %v", err)
			}
			return
		}
		out, err := in.Render([]byte(event), guideMeta())
		if _, isJSON := kinds([]byte(event)); !isJSON || !utf8.ValidString(event) || !json.Valid([]byte(event)) || event[0] != '{' {
			return // only that it did not panic
		}
		if err != nil {
			if !fault.Is(err, fault.Exhausted) {
				t.Errorf("%s of %s: %v", template, event, err)
			}
			return
		}
		got, isJSON := kinds(out)
		if !isJSON {
			t.Fatalf("%s of %s gives %s", template, event, out)
		}
		// The same template with an event in which nothing is found has the same shape, if
		// no variable stands as a value.
		bare := strings.NewReplacer("<a>", "", "<b>", "", "<aws.events.rule-name>", "", "<aws.events.rule-arn>", "", "<aws.events.event.ingestion-time>", "").Replace(template)
		if shape, isJSON := kinds([]byte(bare)); isJSON && shape != "" && !strings.Contains(bare, "<aws.") && shape != got {
			t.Errorf("%s of %s gives %s, of another shape", template, event, out)
		}
		if compatible, err := one.Compile(target.Options{AWSCompatible: true}); err != nil {
			t.Errorf("as AWS does: %v", err)
		} else if out, err := compatible.Render([]byte(event), guideMeta()); err == nil && len(out) > target.MaxOutput {
			t.Errorf("%d bytes", len(out))
		}
	})
}

// FuzzPath: a path that is read is read again, and finds no more than JSON of the event.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"$", "$.a", "$.a-b_c/d[0].*", "$['a.b'][*]", "$..a", "$.a[", "$[0", "$.*x", `$["a"]`, "$[99999999999]"} {
		f.Add(p, guideEvent)
	}
	f.Fuzz(func(t *testing.T, text, event string) {
		p, err := target.ParsePath(text)
		if err != nil {
			return
		}
		if p.String() != text || text[0] != '$' {
			t.Errorf("%q is shown as %q", text, p)
		}
		found, err := p.Find([]byte(event))
		if err != nil || found == nil || !json.Valid([]byte(event)) {
			return
		}
		if !json.Valid(found) {
			t.Errorf("%s of %s finds %s", text, event, found)
		}
	})
}

// randomJSON makes a value of few names, so that paths meet it.
func randomJSON(r *rand.Rand, depth int) any {
	switch n := r.IntN(8); {
	case n < 3 && depth > 0:
		m := map[string]any{}
		for range r.IntN(4) {
			m[string(rune('a'+r.IntN(3)))] = randomJSON(r, depth-1)
		}
		return m
	case n < 5 && depth > 0:
		l := []any{}
		for range r.IntN(4) {
			l = append(l, randomJSON(r, depth-1))
		}
		return l
	default:
		return []any{"x,:\"]}", 5.0, true, nil, "", " {["}[r.IntN(6)]
	}
}

// naiveFind walks over values that were decoded. several says that the path has a star,
// there that a list was come to for it.
func naiveFind(value any, steps []string) (found []any, there bool) {
	if len(steps) == 0 {
		return []any{value}, false
	}
	step, rest := steps[0], steps[1:]
	gather := func(v any) {
		more, t := naiveFind(v, rest)
		found, there = append(found, more...), there || t
	}
	switch v := value.(type) {
	case map[string]any:
		if step == "*" {
			for _, name := range []string{"a", "b", "c"} {
				if member, ok := v[name]; ok {
					gather(member)
				}
			}
			return found, true
		}
		if member, ok := v[step]; ok {
			gather(member)
		}
	case []any:
		if step == "*" {
			for _, element := range v {
				gather(element)
			}
			return found, true
		}
		for i, element := range v {
			if step == fmt.Sprint(i) {
				gather(element)
			}
		}
	}
	return found, there
}

func TestPathsAgreeWithNaive(t *testing.T) {
	t.Parallel()
	hits := 0
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 5))
		event := map[string]any{"a": randomJSON(r, 4), "b": randomJSON(r, 3)}
		raw, err := json.MarshalIndent(event, "", strings.Repeat(" ", r.IntN(2)))
		if err != nil {
			t.Fatal(err)
		}
		text, steps := "$", []string{}
		for range r.IntN(5) {
			step := []string{"a", "b", "c", "*", "0", "1", "2"}[r.IntN(7)]
			steps = append(steps, step)
			switch {
			case step == "*" && r.IntN(2) == 0 || step <= "9" && step != "*":
				text += "[" + step + "]"
			case r.IntN(4) == 0 && step != "*":
				text += "['" + step + "']"
			default:
				text += "." + step
			}
		}
		p, err := target.ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Find(raw)
		if err != nil {
			t.Fatal(err)
		}
		found, there := naiveFind(event, steps)
		var want any
		switch {
		case strings.Contains(text, "*"):
			if want = any(append([]any{}, found...)); !there {
				want = nil
			}
			there = there || len(found) > 0
		case len(found) > 0:
			want, there = found[0], true
		}
		if (got != nil) != there {
			t.Fatalf("%s of %s: %s, there %v", text, raw, got, there)
		}
		if got == nil {
			continue
		}
		hits++
		var have any
		if err := json.Unmarshal(got, &have); err != nil || !reflect.DeepEqual(have, want) {
			t.Fatalf("%s of %s: %s, want %v", text, raw, got, want)
		}
	}
	if hits < 2000 {
		t.Errorf("only %d paths found something", hits)
	}
}

// filling makes a template at random beside the value that it has to give for an event
// whose parts are in values, as JSON.
type filling struct {
	r      *rand.Rand
	values map[string]string
}

func (f filling) name() string { return []string{"s", "o", "n", "none"}[f.r.IntN(4)] }

// template gives a JSON text with variables, and what it becomes.
func (f filling) template(depth int) (string, any) {
	switch n := f.r.IntN(6); {
	case n == 0 && depth > 0:
		var texts []string
		want := []any{}
		for range f.r.IntN(4) {
			text, v := f.template(depth - 1)
			texts, want = append(texts, text), append(want, v)
		}
		return "[" + strings.Join(texts, ", ") + "]", want
	case n == 1 && depth > 0:
		var texts []string
		want := map[string]any{}
		for i := range f.r.IntN(4) {
			text, v := f.template(depth - 1)
			name := []string{`k`, `\"`, `\\`, `<`}[i]
			texts = append(texts, `"`+name+`" : `+text)
			want[[]string{`k`, `"`, `\`, `<`}[i]] = v
		}
		return "{" + strings.Join(texts, ",\n") + "}", want
	case n < 4:
		name := f.name()
		var want any
		if value, ok := f.values[name]; ok && json.Unmarshal([]byte(value), &want) != nil {
			panic(value)
		}
		return "<" + name + ">", want
	default:
		var text, want strings.Builder
		for range f.r.IntN(5) {
			name := f.name()
			piece := [][2]string{{`x`, `x`}, {`\"`, `"`}, {`\\`, `\`}, {` < `, ` < `}, {`>`, `>`}, {`\u00e9`, `é`}, {`<` + name + `>`, f.inString(name)}}[f.r.IntN(7)]
			text.WriteString(piece[0])
			want.WriteString(piece[1])
		}
		return `"` + text.String() + `"`, want.String()
	}
}

func (f filling) inString(name string) string {
	value := f.values[name]
	var text string
	if json.Unmarshal([]byte(value), &text) == nil {
		return text
	}
	return value
}

func TestTemplatesAgreeWithNaive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10_000) {
		r := rand.New(rand.NewPCG(seed, 6))
		f := filling{r: r, values: map[string]string{
			"s": []string{`"\",\"admin\":true,\"x\":\""`, `"\\"`, `"a\\\"\n\u0007"`, `""`, `"<o> é"`, `"}]"`}[r.IntN(6)],
			"o": []string{`{"k" : ["\"", {}]}`, `[ 1,\t"\\"]`, `{}`, "[\n]"}[r.IntN(4)],
			"n": []string{`5`, `-1.5`, `true`, `false`}[r.IntN(4)],
		}}
		f.values["o"] = strings.ReplaceAll(f.values["o"], `\t`, "\t")
		template, want := f.template(3)
		event := fmt.Sprintf(`{"detail":{"s":%s,"o":%s,"n":%s}}`, f.values["s"], f.values["o"], f.values["n"])
		paths := map[string]string{"s": "$.detail.s", "o": "$.detail.o", "n": "$.detail.n", "none": "$.detail.none"}
		got := render(t, compile(t, target.Options{}, paths, template), event)
		var have any
		if err := json.Unmarshal([]byte(got), &have); err != nil || !reflect.DeepEqual(have, want) {
			t.Fatalf("%s of %s gives %s, want %v", template, event, got, want)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	event := []byte(strings.Replace(guideEvent, `"state"`, `"text":"`+strings.Repeat("x", 3000)+`","state"`, 1))
	in, err := target.Target{ID: "t", InputTransformer: &target.InputTransformer{InputPathsMap: guidePaths(), InputTemplate: `{"text":"<instance> is <state>","at":<timestamp>,"what":<resource>}`}}.Compile(target.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Render(event, guideMeta()); err != nil {
			b.Fatal(err)
		}
	}
}
