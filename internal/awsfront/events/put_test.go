package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/events"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/route"
)

// put puts entries and gives what became of them.
func put(t testing.TB, h *events.Handler, c events.Caller, entries ...string) ([]any, error) {
	t.Helper()
	value, err := h.Answer(t.Context(), c, "PutEvents", []byte(`{"Entries":[`+strings.Join(entries, ",")+`]}`))
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		FailedEntryCount int
		Entries          []any
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, e := range out.Entries {
		if e.(object)["ErrorCode"] != nil {
			failed++
		}
	}
	if failed != out.FailedEntryCount || len(out.Entries) != len(entries) {
		t.Errorf("%s", raw)
	}
	return out.Entries, nil
}

const fine = `{"Source":"app","DetailType":"Made","Detail":"{\"a\":1}"}`

func TestPutEvents(t *testing.T) {
	t.Parallel()
	p, h := setup(t)
	ask(t, h, "CreateEventBus", `{"Name":"orders"}`)
	results, err := put(t, h, caller(auth.RoleSource, hub), fine,
		`{"Source":"app","DetailType":"Made","Detail":"{}","Time":1772362800,"Resources":["arn:x"],"EventBusName":"`+arns+`event-bus/orders","Other":1,"TraceHeader":"t"}`,
		`{"Source":"app","DetailType":"Made","Detail":"{}","Time":"2026-03-01T12:00:00+01:00","EventBusName":"default"}`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{object{"EventId": "default-0"}, object{"EventId": "orders-0"}, object{"EventId": "default-1"}}, results); diff != "" {
		t.Error(diff)
	}
	want := map[string][]route.Entry{
		"default": {
			{Source: "app", DetailType: "Made", Account: hub, Region: "eu-central-1", Detail: text(t, `{"a":1}`)},
			{Source: "app", DetailType: "Made", Account: hub, Region: "eu-central-1", Detail: text(t, `{}`), Time: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)},
		},
		"orders": {{Source: "app", DetailType: "Made", Account: hub, Region: "eu-central-1", Detail: text(t, `{}`), Time: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC), Resources: []string{"arn:x"}}},
	}
	if diff := cmp.Diff(want, p.entries, cmp.Comparer(func(a, b pattern.Text) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// TestEntriesThatFail: each fails alone, with AWS's code, and the others are taken.
func TestEntriesThatFail(t *testing.T) {
	t.Parallel()
	p, h := setup(t)
	for name, c := range map[string]struct{ entry, code, words string }{
		"no source":      {`{"DetailType":"t","Detail":"{}"}`, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."},
		"no type":        {`{"Source":"s","Detail":"{}"}`, "InvalidArgument", "DetailType is a required argument."},
		"no detail":      {`{"Source":"s","DetailType":"t"}`, "InvalidArgument", "Detail is a required argument."},
		"null detail":    {`{"Source":"s","DetailType":"t","Detail":null}`, "InvalidArgument", "Detail is a required argument."},
		"no object":      {`{"Source":"s","DetailType":"t","Detail":"[1]"}`, "MalformedDetail", "Detail is malformed"},
		"no JSON":        {`{"Source":"s","DetailType":"t","Detail":"{"}`, "MalformedDetail", "Detail is malformed"},
		"two":            {`{"Source":"s","DetailType":"t","Detail":"{} {}"}`, "MalformedDetail", "Detail is malformed"},
		"out of it":      {`{"Source":"s","DetailType":"t","Detail":"{}},\"detail-type\":\"x\",\"a\":{}"}`, "MalformedDetail", "Detail is malformed"},
		"long type":      {`{"Source":"s","DetailType":"` + strings.Repeat("t", 129) + `","Detail":"{}"}`, "InvalidArgument", "more than 128"},
		"long source":    {`{"Source":"` + strings.Repeat("s", 257) + `","DetailType":"t","Detail":"{}"}`, "InvalidArgument", "more than 256"},
		"of AWS":         {`{"Source":"aws.securityhub","DetailType":"t","Detail":"{}"}`, "NotAuthorizedForSourceException", "Not authorized for the source."},
		"of AWS, loud":   {`{"Source":"AWS.s3","DetailType":"t","Detail":"{}"}`, "NotAuthorizedForSourceException", ""},
		"of Parry":       {`{"Source":"parry","DetailType":"Parry Remediation State Change","Detail":"{}"}`, "NotAuthorizedForSourceException", ""},
		"below Parry":    {`{"Source":"parry.x","DetailType":"t","Detail":"{}"}`, "NotAuthorizedForSourceException", ""},
		"no time":        {`{"Source":"s","DetailType":"t","Detail":"{}","Time":"noon"}`, "InvalidArgument", "is not a time"},
		"negative time":  {`{"Source":"s","DetailType":"t","Detail":"{}","Time":-1}`, "InvalidArgument", "is not a time"},
		"far time":       {`{"Source":"s","DetailType":"t","Detail":"{}","Time":1e300}`, "InvalidArgument", "is not a time"},
		"no bus":         {`{"Source":"s","DetailType":"t","Detail":"{}","EventBusName":"none"}`, "ResourceNotFoundException", "Event bus none does not exist."},
		"foreign bus":    {`{"Source":"s","DetailType":"t","Detail":"{}","EventBusName":"arn:aws:events:eu-west-1:111122223333:event-bus/default"}`, "ResourceNotFoundException", "does not exist"},
		"many resources": {`{"Source":"s","DetailType":"t","Detail":"{}","Resources":[` + strings.Repeat(`"r",`, 500) + `"r"]}`, "InvalidArgument", "more than 500"},
	} {
		before := len(p.entries["default"])
		results, err := put(t, h, admin(), c.entry, fine)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, _ := results[0].(object)
		if got["ErrorCode"] != c.code || !strings.Contains(fmt.Sprint(got["ErrorMessage"]), c.words) || results[1].(object)["EventId"] == nil || len(p.entries["default"]) != before+1 {
			t.Errorf("%s: %v", name, results)
		}
	}
}

// TestRequestsThatFail: nothing of them is taken.
func TestRequestsThatFail(t *testing.T) {
	t.Parallel()
	p, h := setup(t)
	big := `{"Source":"app","DetailType":"t","Detail":"{\"a\":\"` + strings.Repeat("x", 600_000) + `\"}"}`
	eleven := strings.TrimSuffix(strings.Repeat(fine+",", 11), ",")
	for _, c := range []struct{ body, code, words string }{
		{``, "SerializationException", ""},
		{`{"Entries":{}}`, "SerializationException", ""},
		{`{"Entries":[{"Source":1}]}`, "SerializationException", ""},
		{`{"Entries":[{"Detail":1}]}`, "SerializationException", ""},
		{`{"Entries":[{"Detail":{}}]}`, "SerializationException", ""},
		{`{"Entries":[{"Detail":"\u12"}]}`, "SerializationException", ""},
		{`{"Entries":[` + fine + `],"Entries":[]}`, "SerializationException", "given twice"},
		{`{"Entries":[` + fine + `]} {}`, "SerializationException", ""},
		{`{"Entries":[[[[[[[[]]]]]]]]}`, "SerializationException", "not what PutEvents takes"},
		{`{}`, "ValidationException", "greater than or equal to 1"},
		{`{"entries":[` + fine + `]}`, "ValidationException", "greater than or equal to 1"},
		{`{"Entries":[` + eleven + `]}`, "ValidationException", "less than or equal to 10"},
		{`{"Entries":[` + fine + `],"EndpointId":"a.b"}`, "ValidationException", "EndpointId is not served"},
		{`{"Entries":[{"Source":"s"},{"Detail":"{}"}]}`, "ValidationException", "No entry has each of"},
		{`{"Entries":[` + big + `,` + big + `]}`, "ValidationException", "over the limit"},
	} {
		_, err := h.Answer(t.Context(), admin(), "PutEvents", []byte(c.body))
		if err == nil {
			t.Errorf("%.80s: taken", c.body)
			continue
		}
		if e := events.ErrorOf(err); e.Code != c.code || !strings.Contains(e.Message, c.words) || len(e.Message) > 1000 {
			t.Errorf("%.80s: %s: %s", c.body, e.Code, e.Message)
		}
	}
	if len(p.entries) != 0 {
		t.Errorf("%v", p.entries)
	}
}

// TestWhoseEvents: the account of an event is what the key is for, never what a request
// says, and another account than the bus' needs its policy.
func TestWhoseEvents(t *testing.T) {
	t.Parallel()
	p, h := setup(t)
	refused := func(c events.Caller, words string, entries ...string) {
		t.Helper()
		_, err := put(t, h, c, entries...)
		if err == nil {
			t.Errorf("%v: taken", c.Principal.Accounts)
			return
		}
		if e := events.ErrorOf(err); e.Code != "AccessDeniedException" || !strings.Contains(e.Message, words) {
			t.Errorf("%v: %+v", c.Principal.Accounts, e)
		}
	}
	source := auth.RoleSource
	refused(caller(source, member), "because no resource-based policy allows the events:PutEvents action", fine)
	refused(caller(source, member, "222222222222"), "for 2 accounts", fine)
	refused(caller(source), "for 0 accounts", fine)
	refused(caller(auth.RoleReader, hub), "may not do event.put", fine)
	ask(t, h, "PutPermission", `{"Action":"events:PutEvents","Principal":"`+member+`","StatementId":"one"}`)
	ask(t, h, "CreateEventBus", `{"Name":"closed"}`)
	// One entry that is not allowed refuses all, before anything is taken.
	refused(caller(source, member), "event-bus/closed", fine, `{"Source":"s","DetailType":"t","Detail":"{}","EventBusName":"closed"}`)
	if len(p.entries) != 0 {
		t.Errorf("%v", p.entries)
	}
	for account, c := range map[string]events.Caller{member: caller(source, member), hub: caller(source, member, hub)} {
		if _, err := put(t, h, c, fine, `{"Source":"s","DetailType":"t","Detail":"{\"account\":\"x\"}","Account":"x","account":"x"}`); err != nil {
			t.Error(err)
		}
		for _, e := range p.entries["default"] {
			if e.Account != account {
				t.Errorf("%+v is not of %s", e, account)
			}
		}
		p.entries = map[string][]route.Entry{}
	}
	ask(t, h, "RemovePermission", `{"RemoveAllPermissions":true}`)
	refused(caller(source, member), "no resource-based policy", fine)
}

// TestBusesThatTakeNothing: what one bus does not take fails, what another took does not.
func TestBusesThatTakeNothing(t *testing.T) {
	t.Parallel()
	p, h := setup(t)
	ask(t, h, "CreateEventBus", `{"Name":"orders"}`)
	other := `{"Source":"s","DetailType":"t","Detail":"{}","EventBusName":"orders"}`
	for code, err := range map[string]error{
		"InternalFailure": errors.New("secret of the machine"), "InvalidArgument": fault.Errorf(fault.Invalid, "", "too long"), "ResourceNotFoundException": fault.Errorf(fault.NotFound, "", "gone"),
	} {
		p.err["orders"] = err
		results, err := put(t, h, admin(), other, fine)
		if err != nil || results[0].(object)["ErrorCode"] != code || results[1].(object)["EventId"] == nil || strings.Contains(fmt.Sprint(results), "secret") {
			t.Errorf("%s: %v, %v", code, results, err)
		}
	}
}

// FuzzPutEvents: whatever comes is answered, or refused as the caller's mistake, and what
// is taken is an event.
func FuzzPutEvents(f *testing.F) {
	for _, body := range []string{`{"Entries":[` + fine + `]}`, `{}`, `{"Entries":[{"Time":1e5,"Source":"aws.x"}]}`, `{"Entries":[{"Detail":"{\"a\":"}]}`, `{"Entries":[null]}`} {
		f.Add([]byte(body))
	}
	p, h := setup(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		p.entries = map[string][]route.Entry{}
		value, err := h.Answer(t.Context(), admin(), "PutEvents", body)
		if err != nil {
			if e := events.ErrorOf(err); e.Status >= 500 {
				t.Errorf("%v", err)
			}
			return
		}
		if _, err := json.Marshal(value); err != nil {
			t.Error(err)
		}
		for _, e := range p.entries["default"] {
			var detail object
			if json.Unmarshal([]byte(e.Detail.String()), &detail) != nil || e.Source == "" || e.DetailType == "" || e.Account != hub {
				t.Errorf("%+v", e)
			}
		}
	})
}

func text(t *testing.T, s string) pattern.Text {
	t.Helper()
	valid, err := pattern.ValidateString(s)
	if err != nil {
		t.Fatal(err)
	}
	return valid
}
