package http_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest/http"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

type inbox struct {
	calls [][]store.InboxItem
	err   error
}

func (i *inbox) AppendInbox(_ context.Context, items []store.InboxItem) error {
	i.calls = append(i.calls, items)
	return i.err
}

// reader stands in for the normalize stage: it parses and refuses "bad".
type reader struct{}

func (reader) Normalize(raw json.RawMessage) (finding.Finding, *finding.ImportError) {
	f, err := finding.Parse(raw)
	if err != nil || f.Title() == "bad" {
		return finding.Finding{}, finding.Refuse(f.String("Id"), finding.CodeInvalidInput, "bad")
	}
	return f, nil
}

func setup(t *testing.T) (*http.Intake, *inbox, *int) {
	t.Helper()
	box, wakes := &inbox{}, new(int)
	in, err := http.New(http.Config{
		Inbox: box, Normalizer: reader{}, Clock: service.NewFixedClock(time.Unix(1000, 0)), Wake: func() { *wakes++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	return in, box, wakes
}

func one(id, account, product, title string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"AwsAccountId":%q,"Id":%q,"ProductArn":%q,"Title":%q}`, account, id, product, title))
}

const (
	dev, prod = "111111111111", "222222222222"
	hub       = "arn:aws:securityhub:eu-west-1::product/aws/securityhub"
	ours      = "arn:aws:securityhub:eu-west-1:111111111111:product/111111111111/default"
	theirs    = "arn:aws:securityhub:eu-west-1:222222222222:product/222222222222/default"
)

func TestImportTakesWhatTheSourceMaySay(t *testing.T) {
	t.Parallel()
	in, box, wakes := setup(t)
	source := http.Source{Name: "scanner", Accounts: []string{dev}, Products: []string{"aws/securityhub", ours, theirs}, Trusted: true}
	got, err := in.Import(t.Context(), source, []json.RawMessage{
		one("a", dev, hub, "x"), one("b", prod, hub, "x"), one("c", dev, ours, "x"),
		one("d", dev, theirs, "x"), one("e", dev, "arn:aws:securityhub:eu-west-1::product/prowler/prowler", "x"), one("f", dev, hub, "bad"),
		one("g", "", hub, "x"), json.RawMessage(`{`),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := http.Result{FailedCount: 6, SuccessCount: 2, Failed: []*finding.ImportError{
		{Id: "b", ErrorCode: "InvalidAccess", ErrorMessage: `The source "scanner" may not report findings for account 222222222222. Ask an administrator to add the account to its key.`},
		{Id: "d", ErrorCode: "InvalidAccess", ErrorMessage: `The source "scanner" may not report findings of a product of account 222222222222.`},
		{Id: "e", ErrorCode: "InvalidAccess", ErrorMessage: `The source "scanner" may not report findings of the product "arn:aws:securityhub:eu-west-1::product/prowler/prowler". Ask an administrator to add the product to its key.`},
		{Id: "f", ErrorCode: "InvalidInput", ErrorMessage: "bad"},
		{Id: "g", ErrorCode: "InvalidAccess", ErrorMessage: `The source "scanner" may not report findings for account . Ask an administrator to add the account to its key.`},
		{ErrorCode: "InvalidInput", ErrorMessage: "bad"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stored := [][]store.InboxItem{{
		{Source: "scanner", Trusted: true, Finding: one("a", dev, hub, "x"), ReceivedAt: time.Unix(1000, 0).UTC()},
		{Source: "scanner", Trusted: true, Finding: one("c", dev, ours, "x"), ReceivedAt: time.Unix(1000, 0).UTC()},
	}}
	if diff := cmp.Diff(stored, box.calls); diff != "" {
		t.Error(diff)
	}
	if *wakes != 1 {
		t.Errorf("%d wake-ups", *wakes)
	}
}

func TestAnyAndNone(t *testing.T) {
	t.Parallel()
	in, _, _ := setup(t)
	for name, tc := range map[string]struct {
		source http.Source
		want   int
	}{
		"all":         {http.Source{Accounts: []string{"*"}, Products: []string{"*"}}, 1},
		"nothing":     {http.Source{}, 0},
		"no products": {http.Source{Accounts: []string{"*"}}, 0},
		"no accounts": {http.Source{Products: []string{"*"}}, 0},
	} {
		got, err := in.Import(t.Context(), tc.source, []json.RawMessage{one("a", dev, hub, "x")})
		if err != nil || got.SuccessCount != tc.want {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

func TestBatchLimits(t *testing.T) {
	t.Parallel()
	in, box, _ := setup(t)
	all := http.Source{Name: "s", Accounts: []string{"*"}, Products: []string{"*"}}
	many := func(n int, raw json.RawMessage) []json.RawMessage {
		out := make([]json.RawMessage, n)
		for i := range out {
			out[i] = raw
		}
		return out
	}
	large := json.RawMessage(`{"a":"` + strings.Repeat("x", 100<<10) + `"}`)
	for name, tc := range map[string]struct {
		batch []json.RawMessage
		want  string
	}{
		"none":  {nil, "import findings: Findings must hold at least 1 finding"},
		"101":   {many(101, one("a", dev, hub, "x")), "import findings: Findings holds 101 findings, more than the limit of 100"},
		"bytes": {many(62, large), "import findings: the batch has 6349296 bytes, more than the limit of 6291456"},
	} {
		_, err := in.Import(t.Context(), all, tc.batch)
		if err == nil || err.Error() != tc.want || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(box.calls) != 0 {
		t.Error("something was stored")
	}
	if got, err := in.Import(t.Context(), all, many(100, one("a", dev, hub, "x"))); err != nil || got.SuccessCount != 100 {
		t.Errorf("100 findings: %+v %v", got, err)
	}
}

func TestNothingIsAcceptedWhenTheInboxFails(t *testing.T) {
	t.Parallel()
	in, box, wakes := setup(t)
	box.err = errors.New("disk full")
	got, err := in.Import(t.Context(), http.Source{Name: "s", Accounts: []string{"*"}, Products: []string{"*"}}, []json.RawMessage{one("a", dev, hub, "x")})
	if !errors.Is(err, box.err) || got.SuccessCount != 0 || *wakes != 0 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestNewRefusesMissingParts(t *testing.T) {
	t.Parallel()
	if _, err := http.New(http.Config{}); err == nil {
		t.Error("accepted")
	}
}
