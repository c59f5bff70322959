package awsapi

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// script answers calls one after another; an error answers too.
type script struct {
	answers []any
	inputs  []map[string]any
}

func (s *script) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	s.inputs = append(s.inputs, c.Clone().Input)
	next := s.answers[min(len(s.inputs), len(s.answers))-1]
	if err, ok := next.(error); ok {
		return apimodel.Reply{}, err
	}
	out, _ := next.(map[string]any)
	return apimodel.Reply{Output: out}, nil
}

func tables(last string, names ...any) map[string]any {
	out := map[string]any{"TableNames": names}
	if last != "" {
		out["LastEvaluatedTableName"] = last
	}
	return out
}

func TestPages(t *testing.T) {
	t.Parallel()
	g := &Gate{cfg: Config{Models: catalog(t)}}
	call := apimodel.Call{Service: "dynamodb", Operation: "list_tables"}
	for name, tc := range map[string]struct {
		answers []any
		opts    PageOptions
		want    []any
		calls   int
		code    fault.Code
	}{
		"all":         {[]any{tables("b", "a", "b"), tables("", "c")}, PageOptions{}, []any{"a", "b", "c"}, 2, ""},
		"cut":         {[]any{tables("b", "a", "b"), tables("d", "c", "d")}, PageOptions{MaxItems: 3}, []any{"a", "b", "c"}, 2, ""},
		"on the edge": {[]any{tables("b", "a", "b"), tables("", "c")}, PageOptions{MaxItems: 2}, []any{"a", "b"}, 1, ""},
		"same token":  {[]any{tables("b", "a")}, PageOptions{}, nil, 2, fault.Internal},
		"too many":    {[]any{tables("b", "a"), tables("c", "a"), tables("d", "a")}, PageOptions{MaxPages: 2}, nil, 2, fault.Exhausted},
		"bad token":   {nil, PageOptions{StartingToken: "x"}, nil, 0, fault.Invalid},
		"other token": {nil, PageOptions{StartingToken: "eyJYIjoxfQ=="}, nil, 0, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: tc.answers}
			all, err := g.PaginateAll(t.Context(), s, call, tc.opts)
			if tc.code != "" {
				if !fault.Is(err, tc.code) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, all.Output["TableNames"]); diff != "" || len(s.inputs) != tc.calls {
				t.Errorf("%d calls\n%s", len(s.inputs), diff)
			}
		})
	}
}

func TestTokensGoThereAndBack(t *testing.T) {
	t.Parallel()
	token := map[string]any{"ExclusiveStartKey": map[string]any{"k": map[string]any{"B": []byte{0, 255}}, "l": []any{[]byte("x"), "y"}}, truncated: int64(3), "Marker": nil}
	text, err := encodeToken(token)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeToken(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(token, back); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecodeToken(f *testing.F) {
	f.Add("eyJNYXJrZXIiOiBudWxsLCAiYm90b190cnVuY2F0ZV9hbW91bnQiOiA0fQ==")
	f.Add("eyJhIjp7ImIiOiJBUDg9In0sImJvdG9fZW5jb2RlZF9rZXlzIjpbWyJhIiwiYiJdXX0=")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := decodeToken(text)
		if err != nil {
			return
		}
		if _, err := encodeToken(token); err != nil {
			t.Error(err)
		}
	})
}

func TestWaits(t *testing.T) {
	t.Parallel()
	g := &Gate{cfg: Config{Models: catalog(t)}}
	state := func(name string) map[string]any {
		return map[string]any{"Reservations": []any{map[string]any{"Instances": []any{map[string]any{"State": map[string]any{"Name": name}}}}}, "ResponseMetadata": map[string]any{"HTTPStatusCode": int64(200)}}
	}
	gone := &apimodel.APIError{Code: "InvalidInstanceID.NotFound", Message: "none", HTTPStatus: 400}
	for name, tc := range map[string]struct {
		answers []any
		want    string // "" = it was reached
	}{
		"reached":  {[]any{state("pending"), gone, state("running")}, ""},
		"failure":  {[]any{state("terminated")}, `Waiter InstanceRunning failed: Waiter encountered a terminal failure state: For expression "Reservations[].Instances[].State.Name" we matched expected path: "terminated" at least once`},
		"too long": {[]any{state("pending")}, "Waiter InstanceRunning failed: Max attempts exceeded"},
		"not yet":  {[]any{gone}, "Waiter InstanceRunning failed: Max attempts exceeded. Previously accepted state: Matched expected service error code: InvalidInstanceID.NotFound"},
		"denied":   {[]any{&apimodel.APIError{Code: "AccessDenied", Message: "no"}}, "Waiter InstanceRunning failed: An error occurred (AccessDenied): no"},
		"no call":  {[]any{errors.New("guard says no")}, "guard says no"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := WaitOptions{MaxAttempts: 4, Sleep: func(context.Context, time.Duration) error { return nil }}
			err := g.Wait(t.Context(), &script{answers: tc.answers}, "instance_running", apimodel.Call{Service: "ec2"}, o)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
				t.Errorf("got %v", err)
			}
		})
	}
}
