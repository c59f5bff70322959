package automation

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// TestAnswersComeBackAsTheyWere: bytes, times and numbers keep their types, so
// that a script cannot tell a recorded answer from a live one.
func TestAnswersComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	reply := apimodel.Reply{Output: map[string]any{
		"Text": "a", "Empty": "", "Yes": true, "None": nil, "Int": int64(1 << 60), "Float": 1.5, "Whole": 2.0, "Bytes": []byte{0, 255}, "NoBytes": []byte{},
		"When": time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), "List": []any{int64(1), []any{}, map[string]any{}}, "Pair": []any{"i", "5"},
	}}
	raw, err := packAnswer(reply, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	got, answered, change, err := unpackAnswer(raw)
	if diff := cmp.Diff(reply, got); diff != "" || answered != nil || !change || err != nil {
		t.Error(diff, answered, change, err)
	}

	refused := &apimodel.APIError{Service: "S3", Operation: "GetX", Code: "No", Message: "m", HTTPStatus: 404, RequestID: "r", Retries: 2, Members: map[string]any{"At": time.Unix(5, 0).UTC()}, Note: "n", Uncertain: true}
	raw, err = packAnswer(apimodel.Reply{}, refused, false)
	if err != nil {
		t.Fatal(err)
	}
	_, answered, change, err = unpackAnswer(raw)
	var api *apimodel.APIError
	if !errors.As(answered, &api) || change || err != nil {
		t.Fatal(answered, err)
	}
	if diff := cmp.Diff(refused, api); diff != "" {
		t.Error(diff)
	}

	raw, err = packAnswer(apimodel.Reply{}, fault.Errorf(fault.Invalid, "validate", "Missing %s", "Bucket").WithHint("add it"), false)
	if err != nil {
		t.Fatal(err)
	}
	_, answered, _, err = unpackAnswer(raw)
	if !fault.Is(answered, fault.Invalid) || fault.HintOf(answered) != "add it" || err != nil {
		t.Errorf("%v %v", answered, err)
	}
}

func TestWhatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := packAnswer(apimodel.Reply{Output: map[string]any{"X": make(chan int)}}, nil, false); err == nil {
		t.Error("a channel was kept")
	}
	deep := any("x")
	for range 100 {
		deep = []any{deep}
	}
	if _, err := packAnswer(apimodel.Reply{Output: map[string]any{"X": deep}}, nil, false); err == nil {
		t.Error("a bottomless list was kept")
	}
	for _, bad := range []string{"", "{", `{"output":["z","1"]}`, `{"output":["i","x"]}`, `{"output":["m",[]]}`, `{"output":["l",{}]}`, `{"output":5}`, `{"output":["b","*"]}`} {
		if _, _, _, err := unpackAnswer([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	one := apimodel.Call{Service: "S3", Operation: "PutObject", Account: "1", Region: "r", Input: map[string]any{"A": []byte("x"), "B": int64(1), "C": []string{"y"}}}
	same := apimodel.Call{Service: "s3", Operation: "put_object", Account: "1", Region: "r", Input: map[string]any{"C": []any{"y"}, "B": 1, "A": []byte("x")}}
	a, err := digest(one)
	b, err2 := digest(same)
	if err != nil || err2 != nil || a != b {
		t.Errorf("%s %s %v %v", a, b, err, err2)
	}
	for name, change := range map[string]func(c *apimodel.Call){
		"operation": func(c *apimodel.Call) { c.Operation = "PutObjectAcl" },
		"account":   func(c *apimodel.Call) { c.Account = "2" },
		"identity":  func(c *apimodel.Call) { c.As = "role" },
		"a type":    func(c *apimodel.Call) { c.Input["A"] = "x" },
		"a member":  func(c *apimodel.Call) { delete(c.Input, "B") },
	} {
		c := one.Clone()
		change(&c)
		if d, err := digest(c); d == a || err != nil {
			t.Errorf("another %s has the same digest", name)
		}
	}
}

// FuzzUnpackAnswer: whatever the journal holds, reading it does not panic, and
// what it reads is kept as the same again.
func FuzzUnpackAnswer(f *testing.F) {
	f.Add([]byte(`{"output":["m",{"A":["i","1"],"B":["l",[null,true,"x",["b","AA=="],["t","2026-01-02T03:04:05Z"],["f","1.5"]]]}],"change":true}`))
	f.Add([]byte(`{"api":{"Code":"X","packed":["m",{}]}}`))
	f.Add([]byte(`{"code":"invalid","message":"m"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		reply, answered, change, err := unpackAnswer(raw)
		if err != nil || answered != nil {
			return
		}
		again, err := packAnswer(reply, nil, change)
		if err != nil {
			t.Fatal(err)
		}
		got, _, _, err := unpackAnswer(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(reply, got, cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStableIDs(t *testing.T) {
	t.Parallel()
	id := stableID("a", "bc")
	if len(id) != 36 || id != stableID("a", "bc") || id == stableID("ab", "c") || id[14] != '8' {
		t.Error(id)
	}
}

// FuzzDecodeState: a damaged state is an error, never a panic.
func FuzzDecodeState(f *testing.F) {
	f.Add([]byte(`{"version":1,"cursor":"A","outputs":{"A":{"N":1}},"frames":[{"loop":"L","values":[1]}],"park":{"fan":{"total":1,"places":[{}]}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := DecodeState(raw)
		if err != nil {
			return
		}
		again, err := s.clone().Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeState(again); err != nil {
			t.Fatal(err)
		}
	})
}
