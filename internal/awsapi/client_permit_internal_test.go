package awsapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

func TestEveryAttemptOfAChangeIsPermitted(t *testing.T) {
	t.Parallel()
	throttled := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"ThrottlingException","message":"slow"}`))
	}
	reset := func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }
	change := apimodel.Call{Service: "organizations", Operation: "DeleteOrganization"}
	read := apimodel.Call{Service: "organizations", Operation: "DescribeOrganization"}
	// A change with a token is sent again although an answer was lost.
	token := apimodel.Call{Service: "guardduty", Operation: "CreateDetector", Input: map[string]any{"Enable": true}}
	off := fault.Errorf(fault.Denied, "read stop switch", "%w: drill", ErrStopped)
	for name, tc := range map[string]struct {
		call        apimodel.Call
		answers     []func(http.ResponseWriter)
		permits     int32 // so many attempts are permitted
		sent, asked int32
		uncertain   bool
		ok          bool
	}{
		"first attempt":                {change, nil, 0, 0, 1, false, false},
		"after a throttle":             {change, []func(http.ResponseWriter){throttled}, 1, 1, 2, false, false},
		"permitted throughout":         {change, []func(http.ResponseWriter){throttled, nil}, 9, 2, 2, false, true},
		"after a lost answer":          {token, []func(http.ResponseWriter){reset}, 1, 1, 2, true, false},
		"lost, then throttled":         {token, []func(http.ResponseWriter){reset, throttled}, 2, 2, 3, true, false},
		"a read does not need to ask":  {read, []func(http.ResponseWriter){throttled, nil}, 0, 2, 0, false, true},
		"lost and answered afterwards": {token, []func(http.ResponseWriter){reset, nil}, 9, 2, 2, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent, asked atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n := int(sent.Add(1))
				if answer := tc.answers[min(n, len(tc.answers))-1]; answer != nil {
					answer(w)
					return
				}
				_, _ = w.Write([]byte("{}"))
			}))
			defer srv.Close()
			c := permitClient(t, srv.URL)
			ctx := withPermit(t.Context(), func(context.Context) error {
				if asked.Add(1) > tc.permits {
					return off
				}
				return nil
			})
			_, err := c.Send(ctx, Credentials{AccessKeyID: "AKIA", SecretAccessKey: NewSecret("s")}, tc.call)
			if sent.Load() != tc.sent || asked.Load() != tc.asked {
				t.Errorf("sent %d times, asked %d times, want %d and %d", sent.Load(), asked.Load(), tc.sent, tc.asked)
			}
			if tc.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *apimodel.APIError
			uncertain := errors.As(err, &e) && e.Uncertain
			if uncertain != tc.uncertain || errors.Is(err, errNotSent) == tc.uncertain {
				t.Errorf("uncertain %v, not sent %v: %v", uncertain, errors.Is(err, errNotSent), err)
			}
			if !errors.Is(err, ErrStopped) || !fault.Is(err, fault.Denied) {
				t.Errorf("the reason was lost: %v", err)
			}
		})
	}
}

func permitClient(t *testing.T, url string) *Client {
	t.Helper()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(ClientConfig{
		Models: models, Sleep: func(context.Context, time.Duration) error { return nil },
		Getenv: func(name string) string { return map[string]string{"AWS_ENDPOINT_URL": url}[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
