package app_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/test/testenv"
)

func TestAnEmulatorIsNotAWS(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"https://s3.eu-west-1.amazonaws.com", "https://sts.amazonaws.com:443/", "https://ec2.cn-north-1.amazonaws.com.cn", "https://lambda.us-east-1.api.aws",
		"https://STS.AMAZONAWS.COM", "https://sts.amazonaws.com.",
	} {
		if _, err := app.NewEmulator(endpoint, nil, slog.New(slog.DiscardHandler)); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	for _, endpoint := range []string{"", "127.0.0.1:5000", "ftp://127.0.0.1", "http://"} {
		if _, err := app.NewEmulator(endpoint, nil, slog.New(slog.DiscardHandler)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// TestAnEmulatorHasAccountsAndForgets runs on moto, whatever the environment says
// of AWS.
func TestAnEmulatorHasAccountsAndForgets(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts moto")
	}
	moto, err := testenv.StartMoto(t.Context(), t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	e, err := app.NewEmulator(moto.URL, moto.Reset, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	queues := func(account string) string {
		t.Helper()
		reply, err := e.Call(t.Context(), apimodel.Call{Service: "sqs", Operation: "ListQueues", Account: account, Region: "us-east-1", Input: map[string]any{}})
		if err != nil {
			t.Fatal(err)
		}
		urls, _ := reply.Output["QueueUrls"].([]any)
		var b strings.Builder
		for _, u := range urls {
			b.WriteString(u.(string))
		}
		return b.String()
	}
	if _, err := e.Call(t.Context(), apimodel.Call{Service: "sqs", Operation: "CreateQueue", Account: "222222222222", Region: "us-east-1", Input: map[string]any{"QueueName": "jobs"}}); err != nil {
		t.Fatal(err)
	}
	if mine, other := queues("222222222222"), queues("123456789012"); !strings.HasSuffix(mine, "/222222222222/jobs") || other != "" {
		t.Errorf("queues are %q and %q", mine, other)
	}
	if err := e.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := queues("222222222222"); left != "" {
		t.Errorf("%q is left", left)
	}
}
