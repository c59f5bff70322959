package scenarios_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv"
)

// applyOrder is what a child process is told: to apply a plan, and where to
// stand still so that it can be killed there.
type applyOrder struct {
	Dir, Endpoint, MemberRole, ExternalID, Account string
	Hub                                            testenv.Key
	Plan                                           remediation.Plan
	HoldFence                                      bool // right before the intent is stored
}

// envApply makes the test binary such a child.
const envApply = "PARRY_TEST_APPLY"

// gateOf is a gate like the server's, in the estate.
func gateOf(o applyOrder, cfg func(*awsapi.Config)) (*awsapi.Gate, *awsapi.Client, error) {
	models, err := apimodel.Load()
	if err != nil {
		return nil, nil, err
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Region: "us-east-1", Getenv: func(name string) string {
		if name == "AWS_ENDPOINT_URL" {
			return o.Endpoint
		}
		return ""
	}})
	if err != nil {
		return nil, nil, err
	}
	c := awsapi.Config{
		Sender: client, Models: models, Validate: client.Validate, ExternalID: func(string) string { return o.ExternalID },
		Credentials: awsapi.NewStaticCredentials(client, awsapi.Credentials{AccessKeyID: o.Hub.AccessKeyID, SecretAccessKey: awsapi.NewSecret(o.Hub.Secret)}),
		Guards:      awsapi.Guards{Accounts: []string{o.Account}},
		StopSwitch:  func(context.Context) (bool, string, error) { return false, "", nil },
	}
	if cfg != nil {
		cfg(&c)
	}
	gate, err := awsapi.New(c)
	return gate, client, err
}

func (o applyOrder) identity(verb string) awsapi.Identity {
	return awsapi.Identity{Role: o.MemberRole, SessionName: "parry-" + verb + "-" + string(o.Plan.Remediation), SourceIdentity: "alice"}
}

func (o applyOrder) store(ctx context.Context) (*store.Store, error) {
	s, _, err := app.OpenStore(ctx, config.Config{DataDir: o.Dir}, service.SystemClock{})
	return s, err
}

// authority is the right to carry out the order's plan.
func (o applyOrder) authority(recorder awsapi.ChangeRecorder) (awsapi.Authority, error) {
	hash, err := o.Plan.Hash()
	return awsapi.Authority{
		Remediation: o.Plan.Remediation, Execution: "exec-1", Plan: &o.Plan, Hash: hash, Recorder: recorder,
		Fence: func(ctx context.Context) error {
			if o.HoldFence {
				fmt.Println("holding")
				<-ctx.Done()
			}
			return nil
		},
	}, err
}

// applyAndReport is the child's main: it applies the plan and prints how that
// ended.
func applyAndReport(order string) int {
	ctx := context.Background()
	report := func() error {
		var o applyOrder
		if err := json.Unmarshal([]byte(order), &o); err != nil {
			return err
		}
		s, err := o.store(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		gate, _, err := gateOf(o, nil)
		if err != nil {
			return err
		}
		a, err := o.authority(s)
		if err != nil {
			return err
		}
		session := gate.Applying(o.identity("apply"), a)
		for _, c := range o.Plan.Calls {
			if _, err := session.Call(ctx, c.Step, c.APICall()); err != nil {
				if errors.Is(err, awsapi.ErrUncertain) {
					return fmt.Errorf("uncertain: %w", err)
				}
				return err
			}
		}
		return nil
	}()
	if report != nil {
		fmt.Println(report)
		return 1
	}
	fmt.Println("done")
	return 0
}

// apply starts a child; the answer is closed when it ends.
func (o applyOrder) apply(t *testing.T) (cmd *exec.Cmd, out *lockedBuffer, ended <-chan struct{}) {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, out = exec.CommandContext(t.Context(), self), &lockedBuffer{}
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), envApply+"="+string(raw)), out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	return cmd, out, done
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// order gives the order to make calls in dev, planned against the wall.
func (w *world) order(t *testing.T, id string, calls ...apimodel.Call) applyOrder {
	t.Helper()
	e := w.env.Estate
	o := applyOrder{
		Dir: t.TempDir(), Endpoint: w.env.WallURL, MemberRole: e.MemberRole, ExternalID: e.ExternalID, Account: e.Members["dev"].Account, Hub: e.Security.Hub,
		Plan: remediation.Plan{Remediation: remediation.ID(id), Role: e.MemberRole, Account: e.Members["dev"].Account, Region: e.Region},
	}
	gate, _, err := gateOf(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	planner := gate.Planning(o.identity("plan"), awsapi.PlanOptions{})
	for _, c := range calls {
		c.Account, c.Region = o.Account, e.Region
		if _, err := planner.Call(t.Context(), "Change", c); err != nil {
			t.Fatal(err)
		}
	}
	o.Plan.Calls, o.Plan.GuardsRevision = planner.Calls(), gate.GuardsRevision()
	return o
}

// sent counts the calls that reached the wall, and AWS behind it.
type sent struct{ all, made int }

// killCase is a change of one kind, and what is sent of it in all when the
// process is killed before AWS made it, and after.
type killCase struct {
	name          string
	call          func(t *testing.T, n int) apimodel.Call
	before, after sent
	row, token    bool // what the change can be told by
}

func (w *world) killCases() []killCase {
	return []killCase{
		{"idempotent", func(t *testing.T, _ int) apimodel.Call {
			b := w.bucket(t, "dev")
			return apimodel.Call{Service: "s3", Operation: "PutPublicAccessBlock", Input: map[string]any{"Bucket": b.name, "PublicAccessBlockConfiguration": map[string]any{
				"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
			}}}
		}, sent{2, 1}, sent{1, 1}, true, false},
		{"with a token", func(_ *testing.T, n int) apimodel.Call {
			return apimodel.Call{Service: "ec2", Operation: "CreateVolume", Input: map[string]any{"AvailabilityZone": "us-east-1a", "Size": int64(20 + n)}}
		}, sent{2, 1}, sent{2, 2}, false, true},
		{"neither", func(_ *testing.T, n int) apimodel.Call {
			return apimodel.Call{Service: "iam", Operation: "CreateGroup", Input: map[string]any{"GroupName": fmt.Sprint("group-", n)}}
		}, sent{1, 0}, sent{1, 1}, false, false},
	}
}

// check makes sure that a change is of the kind that its name says.
func (c killCase) check(t *testing.T, call apimodel.Call) {
	t.Helper()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	_, op, err := models.Find(call.Service, call.Operation)
	if err != nil {
		t.Fatal(err)
	}
	_, row := apimodel.ImageOf(call)
	_, token := op.TokenMember()
	if row != c.row || token != c.token {
		t.Fatalf("%s:%s has a row: %v, a token: %v", call.Service, call.Operation, row, token)
	}
}

// TestNotSentMaybeSentAndDoneAreToldApart kills the process before the intent of
// a change is stored, between intent and AWS, and between AWS and the outcome,
// for a change whose repetition is harmless, one that carries its token, and one
// that is neither. What the record says is held against the wall's log.
func TestNotSentMaybeSentAndDoneAreToldApart(t *testing.T) {
	t.Parallel()
	w := earth(t)
	for i, c := range w.killCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// One after another: a fault at the wall finds its call by the operation.
			for j, point := range []string{"before the intent", "before AWS", "after AWS"} {
				t.Run(point, func(t *testing.T) {
					o := w.order(t, fmt.Sprintf("rem-%d-%d", i, j), c.call(t, 3*i+j))
					c.check(t, o.Plan.Calls[0].APICall())
					c.survive(&killed{t: t, w: w, o: o, since: w.now()}, point)
				})
			}
		})
	}
}

// survive kills the process at point and starts it twice more.
func (c killCase) survive(k *killed, point string) {
	k.t.Helper()
	state, want, doubt := remediation.MaybeSent, sent{1, 1}, !c.row && !c.token
	switch point {
	case "before the intent":
		k.killAtFence()
		state, doubt = remediation.NotSent, false
	case "before AWS":
		k.killAtCall(awswall.HoldBefore)
		want = c.before
	default:
		k.killAtCall(awswall.HoldAfter)
		want = c.after
	}
	k.state(state)
	for range 2 { // the second run finds what the first left
		k.restart(doubt)
	}
	if state = remediation.DoneState; doubt {
		state = remediation.MaybeSent
	}
	k.state(state)
	k.sent(want)
}

// killed is an order whose process is killed.
type killed struct {
	t     *testing.T
	w     *world
	o     applyOrder
	since int64
}

func (k *killed) matches(e awswall.Entry) bool {
	c := k.o.Plan.Calls[0]
	return e.Seq > k.since && e.Service == c.Service && e.Operation == c.Operation && e.Session == k.o.identity("apply").SessionName
}

// killAtFence kills the process when it is about to store the intent.
func (k *killed) killAtFence() {
	k.t.Helper()
	hold := k.o
	hold.HoldFence = true
	cmd, out, ended := hold.apply(k.t)
	poll(k.t, patience, out.String, func(context.Context) bool { return strings.Contains(out.String(), "holding") })
	_ = cmd.Process.Kill()
	<-ended
}

// killAtCall kills the process while its change is held at the wall.
func (k *killed) killAtCall(kind awswall.Kind) {
	k.t.Helper()
	c := k.o.Plan.Calls[0]
	bucket, _ := c.Input["Bucket"].(string)
	// Other tests of this world make the same calls in the same account.
	hold, err := k.w.env.Wall.Inject(awswall.Fault{
		Kind: kind, Service: c.Service, Operation: c.Operation, Bucket: bucket, Account: k.o.Account, Session: k.o.identity("apply").SessionName, Times: 1,
	})
	if err != nil {
		k.t.Fatal(err)
	}
	defer hold.Release()
	cmd, out, ended := k.o.apply(k.t)
	select {
	case <-hold.Hit():
	case <-time.After(patience):
		k.t.Fatalf("the change did not come: %s", out)
	}
	seen := func() {
		ctx, cancel := context.WithTimeout(k.t.Context(), patience)
		defer cancel()
		if _, err := k.w.env.Wall.Await(ctx, func(e awswall.Entry) bool { return k.matches(e) && e.Fault == kind }); err != nil {
			k.t.Fatal(err)
		}
	}
	if kind == awswall.HoldAfter {
		seen() // AWS did it
	}
	_ = cmd.Process.Kill()
	<-ended
	if kind == awswall.HoldBefore {
		seen() // the wall gave the call up
	}
}

// state is what the record says of the change, and the record of calls with it.
func (k *killed) state(want remediation.SentState) {
	k.t.Helper()
	s, err := k.o.store(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	changes, err := s.Changes(k.t.Context(), k.o.Plan.Remediation)
	if err != nil {
		k.t.Fatal(err)
	}
	calls, _, err := s.Calls(k.t.Context(), k.o.Plan.Remediation, 10, "")
	if err != nil {
		k.t.Fatal(err)
	}
	if want == remediation.NotSent {
		if len(changes)+len(calls) > 0 {
			k.t.Errorf("recorded %+v, %+v", changes, calls)
		}
		return
	}
	if len(changes) != 1 || changes[0].State() != want {
		k.t.Fatalf("recorded %+v, want one change that is %s", changes, want)
	}
	outcome := map[remediation.SentState]remediation.CallOutcome{remediation.DoneState: remediation.CallOK, remediation.MaybeSent: remediation.CallMaybeSent}[want]
	if len(calls) != 1 || calls[0].Outcome != outcome || calls[0].Change != changes[0].ID {
		k.t.Errorf("the record of calls says %+v", calls)
	}
}

// restart runs the order again, to its end.
func (k *killed) restart(doubt bool) {
	k.t.Helper()
	_, out, ended := k.o.apply(k.t)
	<-ended
	word := "done"
	if doubt {
		word = "uncertain"
	}
	if !strings.HasPrefix(out.String(), word) {
		k.t.Errorf("want %s, the process said: %s", word, out)
	}
}

// sent holds the wall's log against what must have reached it: one request, the
// same to the byte each time.
func (k *killed) sent(want sent) {
	k.t.Helper()
	var got sent
	bodies := map[string]bool{}
	for _, e := range k.w.env.Wall.Log() {
		if !k.matches(e) {
			continue
		}
		if c := k.o.Plan.Calls[0]; c.Input["Bucket"] != nil && e.Bucket != c.Input["Bucket"] {
			continue
		}
		got.all++
		bodies[e.BodySHA256] = true
		if e.Forwarded {
			got.made++
		}
	}
	if got != want || len(bodies) != 1 {
		k.t.Errorf("reached the wall and AWS: %+v, want %+v; with %d bodies", got, want, len(bodies))
	}
}

func (w *world) planEqualsLog(t *testing.T, id string, doc *runbook.Document, parameters map[string]any) {
	t.Helper()
	o := w.order(t, strings.ReplaceAll(id, "Parry-", ""))
	s, err := o.store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var read []remediation.CallRecord
	gate, _, err := gateOf(o, func(c *awsapi.Config) { c.Record = func(r remediation.CallRecord) { read = append(read, r) } })
	if err != nil {
		t.Fatal(err)
	}
	interpreter, err := automation.New(automation.Config{Clock: automation.RealClock{Clock: service.SystemClock{}}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	run := automation.Run{Document: doc, Parameters: parameters, ExecutionID: "exec-1", Account: o.Account, Region: o.Plan.Region, Partition: "aws"}
	before := w.now()
	planner := gate.Planning(o.identity("plan"), awsapi.PlanOptions{})
	dry := run
	dry.Caller, dry.Planning = planner, true
	if out, err := interpreter.Run(t.Context(), dry); err != nil || out.Status != automation.Success || out.Open != "" {
		t.Fatalf("plan: %+v, %v", out, err)
	}
	for _, e := range w.env.Wall.Log() {
		if e.Seq > before && e.Session == o.identity("plan").SessionName && e.Class != "read" {
			t.Errorf("planning sent %s", e.Operation)
		}
	}
	o.Plan.Calls = planner.Calls()
	a, err := o.authority(s)
	if err != nil {
		t.Fatal(err)
	}
	read = nil
	run.Caller = gate.Applying(o.identity("apply"), a)
	if out, err := interpreter.Run(t.Context(), run); err != nil || out.Status != automation.Success {
		t.Fatalf("apply: %+v, %v", out, err)
	}
	var got []string
	for _, e := range w.env.Wall.Log() {
		if len(o.Plan.Calls) == 0 && e.Seq > before && e.Session == o.identity("apply").SessionName {
			t.Errorf("a plan of no call sent %s:%s", e.Service, e.Operation)
		}
		if e.Seq > before && e.Session == o.identity("apply").SessionName && e.Service != "sts" {
			got = append(got, strings.Join([]string{e.Service, e.Operation, e.Account, e.Region, e.Method, e.URI, e.BodySHA256}, " "))
		}
	}
	if diff := cmp.Diff(w.expected(t, o), got); diff != "" {
		t.Errorf("the wall's log (-plan +log):\n%s", diff)
	}
	if len(o.Plan.Calls) == 0 {
		return
	}
	calls := slices.DeleteFunc(slices.Clone(read), func(r remediation.CallRecord) bool { return r.Service == "sts" })
	changes, err := s.Changes(t.Context(), o.Plan.Remediation)
	if err != nil || len(changes) != o.Plan.Changes() || len(calls)+len(changes) != len(got) || len(calls) == len(read) {
		t.Errorf("the record holds %d reads, %d roles and %d changes of %d calls, %v", len(calls), len(read)-len(calls), len(changes), len(got), err)
	}
}

// expected writes the plan's calls as the wall would log them, each change after
// the read of its before-image.
func (w *world) expected(t *testing.T, o applyOrder) []string {
	t.Helper()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	wire := &capture{}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, HTTP: &http.Client{Transport: wire}, Getenv: func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": o.Endpoint, "AWS_MAX_ATTEMPTS": "1"}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	keys := awsapi.Credentials{AccessKeyID: o.Hub.AccessKeyID, SecretAccessKey: awsapi.NewSecret(o.Hub.Secret)}
	var out []string
	write := func(c apimodel.Call) {
		_, _ = client.Send(t.Context(), keys, c) // the answer is empty, only the request counts
		service, operation := c.Service, c.Operation
		if service == "s3control" { // the wall calls it as IAM does
			service, operation = "s3", strings.Replace(operation, "PublicAccessBlock", "AccountPublicAccessBlock", 1)
		}
		out = append(out, strings.Join([]string{service, operation, c.Account, c.Region, wire.last}, " "))
	}
	for _, pc := range o.Plan.Calls {
		if spec, ok := apimodel.ImageOf(pc.APICall()); ok && pc.Class == apimodel.Change {
			write(spec.ReadCall())
		}
		write(pc.APICall())
	}
	return out
}

// capture keeps the last request and sends none.
type capture struct{ last string }

func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	c.last = strings.Join([]string{r.Method, r.URL.RequestURI(), hex.EncodeToString(sum[:])}, " ")
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}
