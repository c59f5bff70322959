package cli_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/test/testenv"
)

// hookSecret signs what is posted to the receiver of startSinks.
const hookSecret = "a key of some length"

// startSinks starts a mail server at $SMTP, which keeps mails as mail/0001.eml and so on,
// and a receiver of webhooks at $HOOK, which keeps what is signed with $HOOK_SECRET as
// hook.json; at $HOOK/gone it answers 410.
func startSinks(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.MkAbs("mail")
	ts.Check(os.MkdirAll(dir, 0o750))
	smtp, err := testenv.StartSMTP(context.Background(), dir)
	ts.Check(err)
	ts.Defer(smtp.Stop)
	file := ts.MkAbs("hook.json")
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		switch {
		case r.URL.Path == "/gone":
			w.WriteHeader(http.StatusGone)
		case err != nil || webhook.Verify([]byte(hookSecret), time.Now(), r.Header.Get(webhook.HeaderSignature), raw) != nil || os.WriteFile(file, raw, 0o600) != nil:
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	ts.Defer(hook.Close)
	ts.Setenv("SMTP", smtp.Addr())
	ts.Setenv("HOOK", hook.URL)
	ts.Setenv("HOOK_SECRET", hookSecret)
}
