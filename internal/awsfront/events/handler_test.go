package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/events"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/awsfront/protocol/protocoltest"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/target"
)

const (
	hub, member = "999988887777", "111122223333"
	arns        = "arn:aws:events:eu-west-1:" + hub + ":"
)

// models are unpacked once for all tests.
var models = sync.OnceValues(apimodel.Load)

type object = map[string]any

// taken is what was put on buses.
type taken struct {
	entries map[string][]route.Entry
	err     map[string]error
}

// Put keeps events.
func (p *taken) Put(_ context.Context, bus string, entries []route.Entry) (ids []string, err error) {
	if err := p.err[bus]; err != nil {
		return nil, err
	}
	for range entries {
		ids = append(ids, fmt.Sprintf("%s-%d", bus, len(p.entries[bus])))
		p.entries[bus] = append(p.entries[bus], entries[len(ids)-1])
	}
	return ids, nil
}

func setup(t testing.TB) (*taken, *events.Handler) {
	t.Helper()
	catalog, err := models()
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.SQLite(t)
	desk, err := route.NewDesk(route.DeskConfig{
		Store: s, Pages: s, Archives: s, Account: hub, Region: "eu-west-1", Clock: s.Clock(), Outside: reach{},
		Configured: []route.Rule{{ID: "of-file", Name: "of-file", Pattern: json.RawMessage(`{"source":["aws.s3"]}`), Enabled: true}},
		Allow: func(_ context.Context, _ string, t target.Target) error {
			if strings.Contains(t.ARN, ":sqs:") {
				return fault.Errorf(fault.Denied, "", "not listed").WithHint("add it to event_targets")
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &taken{entries: map[string][]route.Entry{}, err: map[string]error{}}
	h, err := events.New(events.Config{Models: catalog, Desk: desk, Putter: p, Account: hub})
	if err != nil {
		t.Fatal(err)
	}
	return p, h
}

func caller(role auth.Role, accounts ...string) events.Caller {
	return events.Caller{Principal: auth.Principal{Name: string(role), KeyName: string(role), Roles: []auth.Role{role}, Accounts: accounts}, Region: "eu-central-1"}
}

func admin() events.Caller { return caller(auth.RoleAdmin, auth.All) }

// ask asks as an administrator, and holds the answer against the model.
func ask(t testing.TB, h *events.Handler, operation, body string) object {
	t.Helper()
	value, err := h.Answer(t.Context(), admin(), operation, []byte(body))
	if err != nil {
		t.Fatalf("%s %s: %v", operation, body, err)
	}
	catalog, err := models()
	if err != nil {
		t.Fatal(err)
	}
	return protocoltest.Conform(t, catalog, events.Service, operation, value)
}

// wrong asks for what is refused.
func wrong(t testing.TB, h *events.Handler, c events.Caller, operation, body, code, words string) {
	t.Helper()
	_, err := h.Answer(t.Context(), c, operation, []byte(body))
	if err == nil {
		t.Errorf("%s %s: it was answered", operation, body)
		return
	}
	if e := events.ErrorOf(err); e.Code != code || !strings.Contains(e.Message, words) {
		t.Errorf("%s %s: %s: %s; want %s: %s", operation, body, e.Code, e.Message, code, words)
	}
}

func TestBusesAndRules(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	made := ask(t, h, "CreateEventBus", `{"Name":"orders","Description":"d","Tags":[{"Key":"a","Value":"b"}]}`)
	if made["EventBusArn"] != arns+"event-bus/orders" {
		t.Errorf("%v", made)
	}
	ask(t, h, "UpdateEventBus", `{"Name":"orders","Description":"e"}`)
	if got := ask(t, h, "DescribeEventBus", `{"Name":"`+arns+`event-bus/orders"}`); got["Description"] != "e" || got["CreationTime"] == nil {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "DescribeEventBus", `{}`); got["Name"] != "default" || got["CreationTime"] != nil {
		t.Errorf("%v", got)
	}
	first := ask(t, h, "ListEventBuses", `{"Limit":1}`)
	second := ask(t, h, "ListEventBuses", fmt.Sprintf(`{"Limit":1,"NextToken":%q}`, first["NextToken"]))
	if names(first["EventBuses"]) != "default" || names(second["EventBuses"]) != "orders" || second["NextToken"] != nil {
		t.Errorf("%v %v", first, second)
	}
	wrong(t, h, admin(), "ListEventBuses", fmt.Sprintf(`{"NamePrefix":"o","NextToken":%q}`, first["NextToken"]), "ValidationException", "NextToken is not valid")
	wrong(t, h, admin(), "ListRules", fmt.Sprintf(`{"NextToken":%q}`, first["NextToken"]), "ValidationException", "NextToken is not valid")

	rule := ask(t, h, "PutRule", `{"Name":"r","EventBusName":"orders","EventPattern":"{\"source\":[\"x\"]}","Tags":[{"Key":"k","Value":"v"}]}`)
	if rule["RuleArn"] != arns+"rule/orders/r" {
		t.Errorf("%v", rule)
	}
	ask(t, h, "DisableRule", `{"Name":"r","EventBusName":"orders"}`)
	want := object{"Name": "r", "Arn": arns + "rule/orders/r", "EventPattern": `{"source":["x"]}`, "State": "DISABLED", "EventBusName": "orders", "CreatedBy": hub}
	if diff := cmp.Diff(want, ask(t, h, "DescribeRule", `{"Name":"r","EventBusName":"orders"}`)); diff != "" {
		t.Error(diff)
	}
	ask(t, h, "EnableRule", `{"Name":"r","EventBusName":"orders"}`)
	if got := ask(t, h, "ListRules", `{}`); names(got["Rules"]) != "of-file" || !strings.Contains(fmt.Sprint(got), "ManagedBy:parry.yaml") {
		t.Errorf("%v", got)
	}
	ask(t, h, "TagResource", `{"ResourceARN":"`+arns+`rule/orders/r","Tags":[{"Key":"l","Value":"w"}]}`)
	ask(t, h, "UntagResource", `{"ResourceARN":"`+arns+`rule/orders/r","TagKeys":["k"]}`)
	if got := ask(t, h, "ListTagsForResource", `{"ResourceARN":"`+arns+`rule/orders/r"}`); fmt.Sprint(got) != "map[Tags:[map[Key:l Value:w]]]" {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "TestEventPattern", `{"EventPattern":"{\"source\":[\"x\"]}","Event":"{\"id\":\"1\",\"account\":\"1\",\"source\":\"x\",\"time\":\"2026-01-01T00:00:00Z\",\"region\":\"r\",\"resources\":[],\"detail-type\":\"t\"}"}`); got["Result"] != true {
		t.Errorf("%v", got)
	}
	ask(t, h, "DeleteRule", `{"Name":"r","EventBusName":"orders"}`)
	ask(t, h, "DeleteEventBus", `{"Name":"orders"}`)
}

// names gives the names of a list's items.
func names(list any) string {
	var out []string
	items, _ := list.([]any)
	for _, i := range items {
		o, _ := i.(object)
		out = append(out, fmt.Sprint(o["Name"]))
	}
	return strings.Join(out, ",")
}

func TestTargetsAreAsTheyWerePut(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	ask(t, h, "PutRule", `{"Name":"r","ScheduleExpression":"rate(5 minutes)"}`)
	const good = `{"Id":"1","Arn":"arn:aws:parry:eu-west-1:` + hub + `:log/x","InputTransformer":{"InputPathsMap":{"a":"$.detail.a"},"InputTemplate":"{\"a\": <a>}"},` +
		`"RetryPolicy":{"MaximumRetryAttempts":2,"MaximumEventAgeInSeconds":60},"DeadLetterConfig":{"Arn":"arn:aws:sqs:eu-west-1:` + hub + `:dead"}}`
	got := ask(t, h, "PutTargets", `{"Rule":"r","Targets":[`+good+`,{"Id":"2","Arn":"arn:aws:sqs:eu-west-1:`+hub+`:q"}]}`)
	want := object{"FailedEntryCount": 1.0, "FailedEntries": []any{object{"TargetId": "2", "ErrorCode": "AccessDeniedException", "ErrorMessage": "not listed (add it to event_targets)"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var put any
	if err := json.Unmarshal([]byte(good), &put); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(object{"Targets": []any{put}}, ask(t, h, "ListTargetsByRule", `{"Rule":"r"}`)); diff != "" {
		t.Error(diff)
	}
	if got := ask(t, h, "ListRuleNamesByTarget", `{"TargetArn":"arn:aws:parry:eu-west-1:`+hub+`:log/x"}`); fmt.Sprint(got["RuleNames"]) != "[r]" {
		t.Errorf("%v", got)
	}
	ask(t, h, "RemoveTargets", `{"Rule":"r","Ids":["1"]}`)
	// AWS answers an empty list too, which its own model does not have.
	value, err := h.Answer(t.Context(), admin(), "ListTargetsByRule", []byte(`{"Rule":"r"}`))
	raw, _ := json.Marshal(value)
	if err != nil || string(raw) != `{"Targets":[]}` {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestArchivesAndReplays(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	ask(t, h, "CreateArchive", `{"ArchiveName":"a","EventSourceArn":"`+arns+`event-bus/default","RetentionDays":3}`)
	ask(t, h, "UpdateArchive", `{"ArchiveName":"a","Description":"d"}`)
	got := ask(t, h, "DescribeArchive", `{"ArchiveName":"a"}`)
	if got["RetentionDays"] != 3.0 || got["Description"] != "d" || got["EventCount"] != 0.0 || got["SizeBytes"] != 0.0 || got["State"] != "ENABLED" {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "ListArchives", `{"EventSourceArn":"`+arns+`event-bus/default"}`); len(got["Archives"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "ListArchives", `{"State":"DISABLED"}`); len(got["Archives"].([]any)) != 0 {
		t.Errorf("%v", got)
	}
	ask(t, h, "PutRule", `{"Name":"again","EventPattern":"{\"source\":[\"shop\"]}"}`)
	body := `{"ReplayName":"p","EventSourceArn":"` + arns + `archive/a","EventStartTime":1772362800,"EventEndTime":1772366400.5,"Destination":{"Arn":"` + arns + `event-bus/default","FilterArns":["` + arns + `rule/again"]}}`
	if got := ask(t, h, "StartReplay", body); got["State"] != "STARTING" || got["ReplayArn"] != arns+"replay/p" {
		t.Errorf("%v", got)
	}
	wrong(t, h, admin(), "StartReplay", body, "ResourceAlreadyExistsException", "Replay p already exists.")
	got = ask(t, h, "DescribeReplay", `{"ReplayName":"p"}`)
	if got["EventEndTime"] != 1772366400.5 || fmt.Sprint(got["Destination"]) != "map[Arn:"+arns+"event-bus/default FilterArns:["+arns+"rule/again]]" {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "ListReplays", `{"State":"STARTING","EventSourceArn":"`+arns+`archive/a"}`); len(got["Replays"].([]any)) != 1 {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "CancelReplay", `{"ReplayName":"p"}`); got["State"] != "CANCELLING" {
		t.Errorf("%v", got)
	}
	wrong(t, h, admin(), "CancelReplay", `{"ReplayName":"p"}`, "IllegalStatusException", "not in a valid state")
	ask(t, h, "DeleteArchive", `{"ArchiveName":"a"}`)
}

// TestRefusals: errors have AWS's names, and say what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	for _, c := range []struct{ operation, body, code, words string }{
		{"PutRule", `{"Name":"a b","EventPattern":"{}"}`, "ValidationException", "'name' failed to satisfy constraint"},
		{"PutRule", `{"EventPattern":"{}"}`, "ValidationException", "Member must not be null"},
		{"PutRule", `{"Name":"r","EventPattern":"{}"}`, "InvalidEventPatternException", "Event pattern is not valid. Reason: "},
		{"PutRule", `{"Name":"r"}`, "ValidationException", "EventPattern or ScheduleExpression must be specified"},
		{"PutRule", `{"Name":"of-file","EventPattern":"{\"a\":[1]}"}`, "ManagedRuleException", "bus_rules in parry.yaml"},
		{"PutRule", `{"Name":1}`, "SerializationException", "name is a number and should be text"},
		{"DescribeRule", `{"Name":"none"}`, "ResourceNotFoundException", "Rule none does not exist on EventBus default."},
		{"DescribeEventBus", `{"Name":"none"}`, "ResourceNotFoundException", "Event bus none does not exist."},
		{"CreateEventBus", `{"Name":"default"}`, "ResourceAlreadyExistsException", "Event bus default already exists."},
		{"CreateEventBus", `{"Name":"a","KmsKeyIdentifier":"k"}`, "ValidationException", "KmsKeyIdentifier is not served"},
		{"CreateEventBus", `{"Name":"aws.partner/a/b","EventSourceName":"aws.partner/a/b"}`, "ResourceNotFoundException", "no partner event sources"},
		{"CreateEventBus", `{"Name":"a","DeadLetterConfig":{"Arn":"x"}}`, "ValidationException", "target of a rule"},
		{"CreateEventBus", `{"Name":"a","LogConfig":{"Level":"INFO"}}`, "ValidationException", "log as its target"},
		{"CreateEventBus", `{"Name":"a","Tags":[{"Key":"a","Value":"b"},{"Key":"a","Value":"c"}]}`, "ValidationException", "given twice"},
		{"DeleteEventBus", `{"Name":"default"}`, "ValidationException", "Cannot delete event bus default."},
		{"PutPermission", `{"Action":"events:PutEvents","Principal":"*","StatementId":"a","Policy":"{}"}`, "ValidationException", "in place of"},
		{"PutPermission", `{"Principal":"*","StatementId":"a"}`, "ValidationException", "Action"},
		{"PutPermission", `{"Policy":"` + strings.Repeat(" ", 11_000) + `"}`, "PolicyLengthExceededException", "too long"},
		{"RemovePermission", `{}`, "ValidationException", "StatementId must be specified"},
		{"RemovePermission", `{"StatementId":"a"}`, "ResourceNotFoundException", "does not have a policy"},
		{"ListTagsForResource", `{"ResourceARN":"arn:aws:events:eu-west-1:1:rule/x"}`, "ResourceNotFoundException", "does not exist"},
		{"TestEventPattern", `{"EventPattern":"[]","Event":"{}"}`, "InvalidEventPatternException", "Event pattern is not valid"},
		{"TestEventPattern", `{"EventPattern":"{\"a\":[1]}","Event":"{}"}`, "ValidationException", "it lacks id"},
		{"DescribeArchive", `{"ArchiveName":"none"}`, "ResourceNotFoundException", "Archive none does not exist."},
		{"StartReplay", `{"ReplayName":"p","EventSourceArn":"` + arns + `archive/a","EventStartTime":"soon","EventEndTime":2,"Destination":{"Arn":"x"}}`, "SerializationException", "eventStartTime is text"},
		{"CreatePartnerEventSource", `{}`, "UnknownOperationException", "Parry does not answer CreatePartnerEventSource of EventBridge"},
	} {
		wrong(t, h, admin(), c.operation, c.body, c.code, c.words)
	}
}

// TestWhoMay: every operation asks for its right, and those about rules for all accounts.
func TestWhoMay(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	may := func(c events.Caller, operation string) bool {
		_, err := h.Answer(t.Context(), c, operation, []byte(`{"x"`)) // no JSON: who may is told that
		return events.ErrorOf(err).Code != "AccessDeniedException"
	}
	for _, operation := range h.Operations() {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("X-Amz-Target", "AWSEvents."+operation)
		reads := h.Reads(r)
		if verb := strings.HasPrefix(operation, "Describe") || strings.HasPrefix(operation, "List") || operation == "TestEventPattern"; reads != verb {
			t.Errorf("%s: reads is %v", operation, reads)
		}
		for _, role := range append(auth.Roles(), "") {
			want := role == auth.RoleAdmin || reads && role != auth.RoleSource && role != ""
			if operation == "PutEvents" {
				want = slices.Contains([]auth.Role{auth.RoleAdmin, auth.RoleOperator, auth.RoleSource}, role)
			}
			if got := may(caller(role, auth.All), operation); got != want {
				t.Errorf("%s as %q: %v", operation, role, got)
			}
			if operation != "PutEvents" && may(caller(role, hub), operation) {
				t.Errorf("%s as %q of one account: it is answered", operation, role)
			}
		}
	}
}

func TestServeHTTP(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	send := func(target string, c events.Caller) (int, string) {
		r := httptest.NewRequestWithContext(protocol.WithRegion(auth.WithPrincipal(t.Context(), c.Principal), c.Region), http.MethodPost, "/", strings.NewReader("{}"))
		r.Header.Set("X-Amz-Target", target)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); got != protocol.JSON11 {
			t.Errorf("content type %s", got)
		}
		return w.Code, w.Body.String()
	}
	if status, body := send("AWSEvents.ListEventBuses", admin()); status != 200 || !strings.Contains(body, `"EventBuses":[{"Name":"default"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := send("AWSEvents.ListEventBuses", caller(auth.RoleSource, auth.All)); status != 400 || !strings.Contains(body, "AccessDeniedException") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := send("AmazonSSM.GetDocument", admin()); status != 400 || !strings.Contains(body, "UnknownOperationException") {
		t.Errorf("%d %s", status, body)
	}
}

func TestErrorsOfTheStore(t *testing.T) {
	t.Parallel()
	for code, err := range map[string]error{
		"ConcurrentModificationException": store.ErrConflict, "ResourceAlreadyExistsException": store.ErrExists, "ResourceNotFoundException": store.ErrNotFound,
		"LimitExceededException": fault.Errorf(fault.Exhausted, "", "full"), "InternalException": errors.New("secret of the machine"),
	} {
		e := events.ErrorOf(err)
		if e.Code != code || strings.Contains(e.Message, "secret") {
			t.Errorf("%v: %+v", err, e)
		}
	}
}

func TestEveryOperationIsInTheModel(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	catalog, err := models()
	if err != nil {
		t.Fatal(err)
	}
	protocoltest.Known(t, catalog, events.Service, h.Operations())
}
