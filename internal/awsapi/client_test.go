package awsapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// stub answers like AWS, one function per attempt; the last repeats.
func stub(t *testing.T, answers ...http.HandlerFunc) (url string, attempts *atomic.Int32) {
	t.Helper()
	attempts = &atomic.Int32{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(attempts.Add(1))
		_, _ = io.Copy(io.Discard, r.Body)
		answers[min(n, len(answers))-1](w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, attempts
}

func answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hangUp ends the connection after the request was read.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

var (
	readCall   = apimodel.Call{Service: "organizations", Operation: "DescribeOrganization"}
	changeCall = apimodel.Call{Service: "organizations", Operation: "DeleteOrganization"}
)

type waits struct{ got []time.Duration }

func (w *waits) sleep(ctx context.Context, d time.Duration) error {
	w.got = append(w.got, d)
	return ctx.Err()
}

func quick(w *waits) func(*awsapi.ClientConfig) {
	return func(c *awsapi.ClientConfig) { c.Sleep = w.sleep }
}

func TestThrottledCallsAreRepeated(t *testing.T) {
	t.Parallel()
	for _, call := range []apimodel.Call{readCall, changeCall} {
		url, attempts := stub(t,
			answer(400, `{"__type":"com.amazonaws#ThrottlingException","message":"slow"}`, "Retry-After", "7"),
			answer(503, `{"__type":"SlowDown"}`),
			answer(200, `{"Organization":{"Id":"o-1"}}`, "X-Amzn-Requestid", "id-1"),
		)
		w := &waits{}
		reply, err := newClient(t, url, quick(w)).Send(t.Context(), testKeys, call)
		if err != nil {
			t.Fatal(err)
		}
		meta := reply.Output["ResponseMetadata"].(map[string]any)
		if attempts.Load() != 3 || meta["RetryAttempts"] != int64(2) || reply.RequestID() != "id-1" {
			t.Errorf("%s: %d attempts, metadata %v", call.Operation, attempts.Load(), meta)
		}
		if len(w.got) != 2 || w.got[0] < 7*time.Second {
			t.Errorf("%s: waited %v, want at least 7s first", call.Operation, w.got)
		}
	}
}

func TestAttemptsEnd(t *testing.T) {
	t.Parallel()
	throttle := answer(400, `{"__type":"ThrottlingException","message":"slow"}`)
	away := answer(503, `{"__type":"ServiceUnavailable","message":"later"}`)
	for env, want := range map[string]int32{"": 3, "1": 1, "5": 5, "nonsense": 3, "-1": 3} {
		reply := away
		if want != 3 {
			reply = throttle // who sets a number means throttling too
		}
		url, attempts := stub(t, reply)
		c := newClient(t, url, func(c *awsapi.ClientConfig) {
			quick(&waits{})(c)
			c.Getenv = func(name string) string {
				return map[string]string{"AWS_ENDPOINT_URL": url, "AWS_MAX_ATTEMPTS": env}[name]
			}
		})
		_, err := c.Send(t.Context(), testKeys, changeCall)
		var e *apimodel.APIError
		if !errors.As(err, &e) || attempts.Load() != want || e.Retries != int(want)-1 || e.Uncertain {
			t.Errorf("AWS_MAX_ATTEMPTS=%q: %d attempts, %#v", env, attempts.Load(), e)
		}
	}
}

// Throttling is certain to have done nothing, so it is met with patience: up to
// shortly before the caller's deadline, so that the caller hears of it.
func TestThrottlingIsMetWithPatience(t *testing.T) {
	t.Parallel()
	call := apimodel.Call{Service: "kms", Operation: "DisableKey", Input: map[string]any{"KeyId": "k"}}
	throttle := answer(400, `{"__type":"ThrottlingException","message":"slow"}`)
	url, attempts := stub(t, throttle, throttle, throttle, throttle, throttle, throttle, answer(200, `{}`))
	if _, err := newClient(t, url, quick(&waits{})).Send(t.Context(), testKeys, call); err != nil || attempts.Load() != 7 {
		t.Errorf("%d attempts, %v", attempts.Load(), err)
	}
	url, attempts = stub(t, throttle)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	_, err := newClient(t, url, quick(&waits{})).Send(ctx, testKeys, call)
	var e *apimodel.APIError
	if !errors.As(err, &e) || !e.Throttled || e.Uncertain || ctx.Err() != nil || attempts.Load() < 4 {
		t.Errorf("%d attempts, context %v, %v", attempts.Load(), ctx.Err(), err)
	}
}

// A service that is broken for everybody is not asked three times by each caller.
func TestTheBudgetOfRepetitionsEnds(t *testing.T) {
	t.Parallel()
	url, attempts := stub(t, answer(503, `{"__type":"ServiceUnavailable","message":"later"}`))
	c := newClient(t, url, func(c *awsapi.ClientConfig) { quick(&waits{})(c); c.PerSecond, c.Burst = 1e6, 1e6 })
	call := apimodel.Call{Service: "kms", Operation: "ListKeys"}
	for range 200 {
		if _, err := c.Send(t.Context(), testKeys, call); err == nil {
			t.Fatal("a broken service answered")
		}
	}
	if got := attempts.Load(); got != 300 {
		t.Errorf("%d attempts of 200 calls, want 200 and the 100 of the budget", got)
	}
}

func TestALostAnswer(t *testing.T) {
	t.Parallel()
	broken := answer(500, `{"__type":"InternalFailure","message":"oops"}`)
	for _, tc := range []struct {
		name      string
		call      apimodel.Call
		opts      awsapi.SendOptions
		first     http.HandlerFunc
		attempts  int32
		uncertain bool
	}{
		{"read", readCall, awsapi.SendOptions{}, hangUp, 2, false},
		{"change", changeCall, awsapi.SendOptions{}, hangUp, 1, true},
		{"change that may be repeated", changeCall, awsapi.SendOptions{RetryUncertain: true}, hangUp, 2, false},
		{"read, server broke", readCall, awsapi.SendOptions{}, broken, 2, false},
		{"change, server broke", changeCall, awsapi.SendOptions{}, broken, 1, true},
		{"change that may be repeated, server broke", changeCall, awsapi.SendOptions{RetryUncertain: true}, broken, 2, false},
		{"change, turned away", changeCall, awsapi.SendOptions{}, answer(503, `{"__type":"ServiceUnavailable"}`), 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			url, attempts := stub(t, tc.first, answer(200, `{}`))
			_, err := newClient(t, url, quick(&waits{})).SendWith(t.Context(), testKeys, tc.call, tc.opts)
			if attempts.Load() != tc.attempts {
				t.Errorf("%d attempts, want %d", attempts.Load(), tc.attempts)
			}
			var e *apimodel.APIError
			if uncertain := errors.As(err, &e) && e.Uncertain; uncertain != tc.uncertain {
				t.Errorf("uncertain %v, want %v: %v", uncertain, tc.uncertain, err)
			}
			if !tc.uncertain && err != nil {
				t.Error(err)
			}
		})
	}
}

func TestATokenMakesAChangeRepeatable(t *testing.T) {
	t.Parallel()
	var tokens []string
	call := apimodel.Call{Service: "guardduty", Operation: "CreateDetector", Input: map[string]any{"Enable": true}}
	note := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			tokens = append(tokens, r.Header.Get("X-Test"))
			next(w, r)
		}
	}
	bodies := []string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(b))
		if len(bodies) == 1 {
			hangUp(w, r)
			return
		}
		note(answer(200, `{"detectorId":"d"}`))(w, r)
	}))
	t.Cleanup(srv.Close)
	reply, err := newClient(t, srv.URL, quick(&waits{})).Send(t.Context(), testKeys, call)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Output["DetectorId"] != "d" || len(bodies) != 2 || bodies[0] != bodies[1] || !strings.Contains(bodies[0], "clientToken") {
		t.Errorf("bodies %q, output %v", bodies, reply.Output)
	}
}

// TestMembersThatAreTokensInFact make a change repeatable where the caller gives them.
func TestMembersThatAreTokensInFact(t *testing.T) {
	t.Parallel()
	const machine = "arn:aws:states:us-east-1:111122223333:stateMachine:m"
	stack := func(operation string, in map[string]any) apimodel.Call {
		in["StackName"] = "s"
		return apimodel.Call{Service: "cloudformation", Operation: operation, Input: in}
	}
	const done = `<R><CreateStackResult><StackId>id</StackId></CreateStackResult></R>`
	for name, tc := range map[string]struct {
		call   apimodel.Call
		answer string
		sent   int
	}{
		"stack":               {stack("CreateStack", map[string]any{"ClientRequestToken": "t"}), done, 2},
		"stack without token": {stack("CreateStack", map[string]any{}), done, 1},
		"stack deleted":       {stack("DeleteStack", map[string]any{"ClientRequestToken": "t"}), "<R/>", 2},
		"execution":           {apimodel.Call{Service: "stepfunctions", Operation: "StartExecution", Input: map[string]any{"stateMachineArn": machine, "name": "n"}}, `{"executionArn":"a","startDate":1}`, 2},
		"execution no name":   {apimodel.Call{Service: "stepfunctions", Operation: "StartExecution", Input: map[string]any{"stateMachineArn": machine}}, "{}", 1},
		"a name of another":   {apimodel.Call{Service: "stepfunctions", Operation: "CreateActivity", Input: map[string]any{"name": "n"}}, "{}", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var bodies []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				mu.Lock()
				defer mu.Unlock()
				if bodies = append(bodies, string(b)); len(bodies) == 1 {
					hangUp(w, r)
					return
				}
				answer(200, tc.answer)(w, r)
			}))
			t.Cleanup(srv.Close)
			_, err := newClient(t, srv.URL, quick(&waits{})).Send(t.Context(), testKeys, tc.call)
			mu.Lock()
			defer mu.Unlock()
			var e *apimodel.APIError
			if lost := errors.As(err, &e) && e.Uncertain; len(bodies) != tc.sent || lost != (tc.sent == 1) || bodies[0] != bodies[len(bodies)-1] {
				t.Errorf("sent %q, %v", bodies, err)
			}
		})
	}
}

type limitsSeen struct {
	left map[string]time.Duration
	of   string
}

func (l *limitsSeen) RoundTrip(r *http.Request) (*http.Response, error) {
	end, _ := r.Context().Deadline()
	l.left[l.of] = time.Until(end)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

// TestOperationsThatWorkBeforeTheyAnswer may take longer than others.
func TestOperationsThatWorkBeforeTheyAnswer(t *testing.T) {
	t.Parallel()
	seen := &limitsSeen{left: map[string]time.Duration{}}
	client := newClient(t, "https://aws.example", func(c *awsapi.ClientConfig) { c.HTTP = &http.Client{Transport: seen} })
	send := func(name string, ctx context.Context, call apimodel.Call) {
		seen.of = name
		if _, err := client.Send(ctx, testKeys, call); err != nil {
			t.Error(err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	invoke := apimodel.Call{Service: "lambda", Operation: "Invoke", Input: map[string]any{"FunctionName": "f"}}
	send("read", t.Context(), readCall)
	send("invoke", t.Context(), invoke)
	send("invoke, as long as the step may take", short, invoke)
	for name, want := range map[string]time.Duration{"read": 90 * time.Second, "invoke": 16*time.Minute + 30*time.Second, "invoke, as long as the step may take": 5 * time.Minute} {
		if got := seen.left[name]; got > want || got < want-30*time.Second {
			t.Errorf("%s: an attempt may take %s, want about %s", name, got, want)
		}
	}
}

func TestNothingSentIsSafeToRepeat(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close() // nobody listens there now
	w := &waits{}
	_, err := newClient(t, url, quick(w)).Send(t.Context(), testKeys, changeCall)
	var e *apimodel.APIError
	if errors.As(err, &e) || !fault.Is(err, fault.Unavailable) || len(w.got) != 2 {
		t.Errorf("%v after %d waits", err, len(w.got))
	}
	if _, transient := fault.IsTransient(err); !transient || fault.HintOf(err) == "" {
		t.Errorf("want a transient error with a hint, got %v", err)
	}
}

func TestErrorsOfEveryProtocol(t *testing.T) {
	t.Parallel()
	const html = "<html><head><title>502</title></head><body>Bad\x1b[31m Gateway</body></html>"
	for name, tc := range map[string]struct {
		call          apimodel.Call
		reply         http.HandlerFunc
		code, message string
	}{
		"json":                {readCall, answer(400, `{"__type":"AccessDeniedException","Message":"no"}`), "AccessDeniedException", "no"},
		"json, empty":         {readCall, answer(403, ``), "403", ""},
		"json, html":          {readCall, answer(404, html), "404", "<html><head><title>502</title></head><body>Bad[31m Gateway</body></html>"},
		"json, deep":          {readCall, answer(400, `{"__type":"X","a":`+strings.Repeat("[", 100000)), "400", ""},
		"json, query codes":   {apimodel.Call{Service: "sqs", Operation: "GetQueueUrl", Input: map[string]any{"QueueName": "q"}}, answer(400, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}`, "X-Amzn-Query-Error", "AWS.SimpleQueueService.NonExistentQueue;Sender"), "AWS.SimpleQueueService.NonExistentQueue", "gone"},
		"rest-json, header":   {apimodel.Call{Service: "guardduty", Operation: "ListDetectors"}, answer(400, `{"message":"bad"}`, "X-Amzn-Errortype", "BadRequestException:http://x/"), "BadRequestException", "bad"},
		"rest-json, code":     {apimodel.Call{Service: "guardduty", Operation: "ListDetectors"}, answer(400, `{"code":"Thing","message":"bad"}`), "Thing", "bad"},
		"rest-json, html":     {apimodel.Call{Service: "guardduty", Operation: "ListDetectors"}, answer(404, html), "404", ""},
		"rest-xml":            {apimodel.Call{Service: "s3", Operation: "GetBucketPolicy", Input: map[string]any{"Bucket": "bbb"}}, answer(404, `<?xml version="1.0"?><Error><Code>NoSuchBucketPolicy</Code><Message>none</Message></Error>`), "NoSuchBucketPolicy", "none"},
		"rest-xml, head":      {apimodel.Call{Service: "s3", Operation: "HeadBucket", Input: map[string]any{"Bucket": "bbb"}}, answer(404, ``), "404", "Not Found"},
		"rest-xml, html":      {apimodel.Call{Service: "s3", Operation: "GetBucketPolicy", Input: map[string]any{"Bucket": "bbb"}}, answer(404, html), "404", ""},
		"rest-xml, hidden":    {apimodel.Call{Service: "s3", Operation: "CopyObject", Input: map[string]any{"Bucket": "bbb", "Key": "k", "CopySource": "b/k"}}, answer(200, `<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>`), "NoSuchKey", "gone"},
		"query":               {apimodel.Call{Service: "iam", Operation: "GetRole", Input: map[string]any{"RoleName": "r"}}, answer(404, `<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>none</Message></Error><RequestId>rid</RequestId></ErrorResponse>`), "NoSuchEntity", "none"},
		"query, html":         {apimodel.Call{Service: "iam", Operation: "GetRole", Input: map[string]any{"RoleName": "r"}}, answer(404, html), "404", ""},
		"ec2":                 {apimodel.Call{Service: "ec2", Operation: "DescribeVpcs"}, answer(400, `<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>none</Message></Error></Errors><RequestID>rid</RequestID></Response>`), "InvalidVpcID.NotFound", "none"},
		"not implemented":     {changeCall, answer(501, `{"__type":"NotImplemented","message":"later"}`), "NotImplemented", "later"},
		"json, success html":  {readCall, answer(200, html, "Content-Type", "text/html"), awsapi.CodeUnreadable, ""},
		"query, success html": {apimodel.Call{Service: "iam", Operation: "ListUsers"}, answer(200, html), awsapi.CodeUnreadable, ""},
		"query, cut off":      {apimodel.Call{Service: "iam", Operation: "ListUsers"}, answer(200, `<ListUsersResponse><ListUsersResult><Users><mem`), awsapi.CodeUnreadable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, attempts := stub(t, tc.reply)
			_, err := newClient(t, url, func(c *awsapi.ClientConfig) { c.Getenv = one(url) }).Send(t.Context(), testKeys, tc.call)
			var e *apimodel.APIError
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Code != tc.code || (tc.message != "" && e.Message != tc.message) || attempts.Load() != 1 {
				t.Errorf("got %s: %q after %d attempts", e.Code, e.Message, attempts.Load())
			}
			if proxy := strings.HasSuffix(name, " html") && e.Code == "404"; proxy != strings.Contains(err.Error(), "may come from a proxy") && e.Code != awsapi.CodeUnreadable {
				t.Errorf("note %q", e.Note)
			}
			if e.Uncertain || len(e.Message) > 600 {
				t.Errorf("uncertain %v, %d bytes of message", e.Uncertain, len(e.Message))
			}
		})
	}
}

// one allows one attempt.
func one(url string) func(string) string {
	return func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": url, "AWS_MAX_ATTEMPTS": "1"}[name]
	}
}

func TestAnAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	url, _ := stub(t, answer(200, strings.Repeat("x", 2000)))
	c := newClient(t, url, func(c *awsapi.ClientConfig) { c.MaxBody = 1000 })
	call := apimodel.Call{Service: "s3", Operation: "GetObject", Input: map[string]any{"Bucket": "bbb", "Key": "k"}}
	_, err := c.Send(t.Context(), testKeys, call)
	var e *apimodel.APIError
	if !errors.As(err, &e) || !strings.Contains(e.Message, "larger than 1000 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestABodyIsComparedWithItsChecksum(t *testing.T) {
	t.Parallel()
	call := apimodel.Call{Service: "s3", Operation: "GetObject", Input: map[string]any{"Bucket": "bbb", "Key": "k"}}
	for header, want := range map[[2]string]string{
		{"X-Amz-Checksum-Crc32", "y/Q5Jg=="}:         "crc32",
		{"X-Amz-Checksum-Crc64nvme", "rosUhgoGyRc="}: "",
		{"X-Amz-Checksum-Crc64nvme", "rosUhgp5mIg="}: "crc64nvme",
		{"X-Amz-Checksum-Crc32", "AAAAAA=="}:         "",
	} {
		url, _ := stub(t, answer(200, "123456789", header[0], header[1]))
		reply, err := newClient(t, url, func(c *awsapi.ClientConfig) { c.Getenv = one(url) }).Send(t.Context(), testKeys, call)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "does not match its checksum") {
				t.Errorf("%v: got %v", header, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", header, err)
			continue
		}
		if got := reply.Output["ResponseMetadata"].(map[string]any)["ChecksumAlgorithm"]; got != want {
			t.Errorf("%v: got %v", header, got)
		}
	}
}

func TestAWrongClockIsCorrected(t *testing.T) {
	t.Parallel()
	clock := service.NewFixedClock(time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC))
	theirs := clock.Now().Add(20 * time.Minute)
	var dates []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dates = append(dates, r.Header.Get("X-Amz-Date"))
		w.Header().Set("Date", theirs.Format(http.TimeFormat))
		if len(dates) == 1 {
			answer(403, `{"__type":"InvalidSignatureException","message":"Signature expired"}`)(w, r)
			return
		}
		answer(200, `{}`)(w, r)
	}))
	t.Cleanup(srv.Close)
	c := newClient(t, srv.URL, func(c *awsapi.ClientConfig) { quick(&waits{})(c); c.Clock = clock })
	for range 2 {
		if _, err := c.Send(t.Context(), testKeys, changeCall); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"20240101T120000Z", "20240101T122000Z", "20240101T122000Z"}
	if diff := cmp.Diff(want, dates); diff != "" {
		t.Error(diff)
	}
}

func TestAWrongSignatureIsNotRepeated(t *testing.T) {
	t.Parallel()
	url, attempts := stub(t, answer(403, `{"__type":"InvalidSignatureException","message":"wrong"}`))
	_, err := newClient(t, url, quick(&waits{})).Send(t.Context(), testKeys, readCall)
	if attempts.Load() != 1 || err == nil {
		t.Errorf("%d attempts, %v", attempts.Load(), err)
	}
}

func TestCoerceStrings(t *testing.T) {
	t.Parallel()
	var bodies []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(b))
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(srv.Close)
	c := newClient(t, srv.URL, nil)
	call := apimodel.Call{Service: "ssm", Operation: "GetParametersByPath", Input: map[string]any{"Path": "/a", "Recursive": "True", "MaxResults": "5", "NextToken": 12}}
	if _, err := c.Send(t.Context(), testKeys, call); err == nil {
		t.Error("text was taken for numbers without being asked to")
	}
	if _, err := c.SendWith(t.Context(), testKeys, call, awsapi.SendOptions{CoerceStrings: true}); err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal([]byte(bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"Path": "/a", "Recursive": true, "MaxResults": 5.0, "NextToken": "12"}, got); diff != "" {
		t.Error(diff)
	}
	if call.Input["MaxResults"] != "5" {
		t.Error("the caller's input was changed")
	}
}

func TestACancelledChangeIsUncertain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("lease lost")
	url, attempts := stub(t, func(w http.ResponseWriter, r *http.Request) {
		cancel(stop)
		<-r.Context().Done()
	})
	_, err := newClient(t, url, quick(&waits{})).Send(ctx, testKeys, changeCall)
	var e *apimodel.APIError
	if !errors.As(err, &e) || !e.Uncertain || e.Code != awsapi.CodeConnectionLost || !errors.Is(err, stop) || attempts.Load() != 1 {
		t.Errorf("got %v after %d attempts", err, attempts.Load())
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	creds := awsapi.Credentials{AccessKeyID: "AKIA", SecretAccessKey: awsapi.NewSecret("hush"), SessionToken: awsapi.NewSecret("hush")}
	j, err := json.Marshal(creds)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(creds), fmt.Sprintf("%+v", creds), fmt.Sprintf("%#v", creds), fmt.Sprintf("%s %q", creds.SecretAccessKey, creds.SecretAccessKey), string(j), creds.SecretAccessKey.LogValue().String()} {
		if strings.Contains(text, "hush") {
			t.Errorf("printed %s", text)
		}
	}
	if creds.SecretAccessKey.Reveal() != "hush" {
		t.Error("the secret was lost")
	}
}
