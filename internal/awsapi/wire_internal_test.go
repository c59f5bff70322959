package awsapi

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

// wireSeed makes the inputs and answers of every run the same.
const wireSeed = "1"

// wireAlways are the services that the catalogue's runbooks and Parry itself
// call: all their operations are compared in every run.
var wireAlways = strings.Fields(`accessanalyzer acm apigateway autoscaling cloudformation cloudfront cloudtrail
	cloudwatch config dynamodb ec2 ecr ecs efs elasticache elb elbv2 events guardduty iam kms lambda logs
	organizations rds redshift s3 s3control secretsmanager securityhub sns sqs ssm sts`)

// A usual run draws one in wireServices of the other services, and of each of
// those up to wireOperations operations: to make a client costs boto3 as much as
// forty calls.
const wireServices, wireOperations = 8, 20

// wireCase is one call: what the Python side prints before and after it.
type wireCase struct {
	N                        int
	Service, Operation, Kind string
	Region                   string
	Input                    any
	Status                   int
	Headers                  map[string]string
	Body                     []byte

	Output, Error   any
	Invalid, Raised string
	Done            string
}

func (c *wireCase) name() string { return c.Service + ":" + c.Operation }

// recorder is the one server that boto3 and the gate send to. It keeps what
// each sent for a case, and gives both the case's answer.
type recorder struct {
	mu    sync.Mutex
	known *sync.Cond // a case came
	cases map[int]*wireCase
	sent  map[int][2]*wireRequest // boto3's, ours
}

type wireRequest struct {
	method, uri string
	header      http.Header
	body        []byte
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	n, _ := strconv.Atoi(req.Header.Get("Parry-Case"))
	side := 0
	if req.Header.Get("User-Agent") == "parry" {
		side = 1
	}
	req.Header.Del("Parry-Case")
	header := req.Header.Clone()
	header.Set("Host", req.Host)
	r.mu.Lock()
	for r.cases[n] == nil { // boto3 may be faster than the pipe that its case comes by
		r.known.Wait()
	}
	c, both := r.cases[n], r.sent[n]
	both[side] = &wireRequest{method: req.Method, uri: req.RequestURI, header: header, body: body}
	r.sent[n] = both
	r.mu.Unlock()
	for k, v := range c.Headers {
		w.Header()[k] = []string{v} // in the letters of the model, as S3 does
	}
	w.Header().Set("Date", "Mon, 06 May 2024 07:08:09 GMT")
	w.Header().Set("Content-Length", strconv.Itoa(len(c.Body)))
	w.WriteHeader(c.Status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(c.Body)
	}
}

func (r *recorder) expect(c *wireCase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cases[c.N] = c
	r.known.Broadcast()
}

func (r *recorder) take(n int) (theirs, ours *wireRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	both := r.sent[n]
	delete(r.sent, n)
	return both[0], both[1]
}

// caseTransport tells the recorder which case a request belongs to, in a header
// that is not signed.
type caseTransport struct{ n int }

func (t *caseTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Parry-Case", strconv.Itoa(t.n))
	return http.DefaultTransport.RoundTrip(req)
}

// oneID gives both sides the same idempotency token.
type oneID struct{}

func (oneID) NewID(string) string { return "id" }

type wireClock struct{}

func (wireClock) Now() time.Time { return time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC) }

// wireJob is one service's share of a run.
type wireJob struct {
	N          int      `json:"n"`
	Service    string   `json:"service"`
	Operations []string `json:"operations"`
	Seed       string   `json:"seed"`
}

// wireJobs chooses the operations. PARRY_ALL_SERVICES=1 takes all there are,
// PARRY_SERVICE="s3 iam" those of some services.
func wireJobs(t *testing.T, models *apimodel.Catalog) (jobs []wireJob, streams int) {
	all, only := os.Getenv("PARRY_ALL_SERVICES") != "", strings.Fields(os.Getenv("PARRY_SERVICE"))
	n := 0
	for _, name := range models.Services() {
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		s, err := models.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		most := len(s.Operations)
		if !all && len(only) == 0 && !slices.Contains(wireAlways, name) {
			if draw(name)%wireServices != 0 {
				continue
			}
			most = wireOperations
		}
		job := wireJob{N: n, Service: name, Seed: wireSeed}
		for _, op := range s.Operations {
			if op.HasEventStream() {
				streams++
				continue
			}
			job.Operations = append(job.Operations, op.Name)
		}
		slices.SortFunc(job.Operations, func(a, b string) int { return cmp.Compare(draw(name+a), draw(name+b)) })
		job.Operations = job.Operations[:min(most, len(job.Operations))]
		if len(job.Operations) > 0 {
			jobs = append(jobs, job)
			n += 3 * len(job.Operations)
		}
	}
	slices.SortStableFunc(jobs, func(a, b wireJob) int { return len(b.Operations) - len(a.Operations) })
	return jobs, streams
}

// draw gives a number that depends on the seed.
func draw(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(wireSeed + name))
	return h.Sum32()
}

// TestLikeBotocore sends inputs that are made from botocore's models with boto3
// and with our client to one recording server, and wants the same requests, the
// same values out of the same answers, the same errors and the same texts of
// validation.
func TestLikeBotocore(t *testing.T) {
	if testing.Short() {
		t.Skip("runs boto3; run `make test`")
	}
	t.Parallel()
	models := catalog(t)
	rec := &recorder{cases: map[int]*wireCase{}, sent: map[int][2]*wireRequest{}}
	rec.known = sync.NewCond(&rec.mu)
	server := httptest.NewServer(rec)
	t.Cleanup(server.Close)
	jobs, streams := wireJobs(t, models)
	run := &wireRun{t: t, models: models, rec: rec, endpoint: server.URL, hits: map[string]int{}, differ: map[string]bool{}, excepted: map[string]bool{}}
	queue := make(chan wireJob)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { run.worker(queue) })
	}
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	wg.Wait()
	run.finish(streams, len(jobs))
}

// wireRun is what the workers share.
type wireRun struct {
	t        *testing.T
	models   *apimodel.Catalog
	rec      *recorder
	endpoint string

	mu                                        sync.Mutex
	operations, cases, signatures, wrongTexts int
	shown                                     int
	differ, excepted                          map[string]bool
	hits                                      map[string]int
}

func (r *wireRun) worker(queue <-chan wireJob) {
	cmd := exec.CommandContext(r.t.Context(), venvPython(r.t), filepath.Join("testdata", "wire", "client.py"), r.endpoint, uuidFrom(oneID{})) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		r.t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		r.t.Errorf("boto3: %v (run `make venv`)", err)
		return
	}
	lines := bufio.NewReaderSize(out, 1<<20)
	transport := &caseTransport{}
	client, err := NewClient(ClientConfig{
		Models: r.models, Region: "us-east-1", Clock: wireClock{}, HTTP: &http.Client{Transport: transport, Timeout: 20 * time.Second},
		Getenv: func(name string) string {
			return map[string]string{"AWS_ENDPOINT_URL": r.endpoint, "AWS_MAX_ATTEMPTS": "1"}[name]
		},
		Sleep: func(context.Context, time.Duration) error { return errors.New("one attempt") },
		IDs:   oneID{}, PerSecond: 1e6, Burst: 1e6,
	})
	if err != nil {
		r.t.Error(err)
		return
	}
	for job := range queue {
		if err := json.NewEncoder(in).Encode(job); err != nil {
			r.t.Errorf("boto3: %v", err)
			break
		}
		if err := r.service(job, lines, client, transport); err != nil {
			r.t.Errorf("%s: boto3 stopped: %v", job.Service, err)
			break
		}
	}
	for range queue { //nolint:revive // the other worker may still run
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		r.t.Errorf("boto3: %v", err)
	}
}

// service reads what Python says about one service until it is done.
func (r *wireRun) service(job wireJob, lines *bufio.Reader, client *Client, transport *caseTransport) error {
	var c *wireCase
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return err
		}
		fresh := c == nil
		if fresh {
			c = &wireCase{}
		}
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.UseNumber()
		if err := dec.Decode(c); err != nil {
			return fmt.Errorf("%w: %.200s", err, line)
		}
		switch {
		case c.Done != "":
			r.mu.Lock()
			r.operations += len(job.Operations)
			r.mu.Unlock()
			return nil
		case fresh:
			r.rec.expect(c)
		default:
			transport.n = c.N
			r.compare(c, client)
			c = nil
		}
	}
}

var wireCredentials = Credentials{AccessKeyID: "AKIAPARRYTEST0000000", SecretAccessKey: NewSecret("secret"), SessionToken: NewSecret("session/token+=")}

// compare makes the call that boto3 has made and compares the two.
func (r *wireRun) compare(c *wireCase, client *Client) {
	input, _ := unmark(c.Input).(map[string]any)
	call := apimodel.Call{Service: c.Service, Operation: c.Operation, Region: c.Region, Input: input}
	call.Account = strconv.Itoa(c.N) // the clock stands still, so a throttle that an answer closed would stay closed
	reply, err := client.Send(r.t.Context(), wireCredentials, call)
	theirs, ours := r.rec.take(c.N)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cases++
	if c.Kind == "wrong" {
		r.wrongTexts++
	}
	if theirs != nil && ours != nil {
		want, got := canonical(theirs), canonical(ours)
		if bytes.Equal(theirs.body, ours.body) {
			r.signatures++
		} else { // the hash of the body is signed
			dropBodyHash(want, got)
		}
		r.diff(c, "request", want, got)
	} else if (theirs == nil) != (ours == nil) && c.Raised == "" {
		r.diff(c, "request", fmt.Sprintf("sent: %t", theirs != nil), fmt.Sprintf("sent: %t, %v", ours != nil, err))
	}
	want, got := theirResult(c), ourResult(reply, err)
	if (c.Raised == "" && !strings.HasSuffix(c.Invalid, beforeValidation)) || !better(c, err) {
		alike(c, want, got)
		r.diff(c, "result", want, got)
	}
}

// beforeValidation is what botocore's endpoint rules say before it validates.
const beforeValidation = "AccountId is required but not set"

// better reports whether an error of ours says what is wrong where botocore
// itself breaks: it parses some answers that are not of the protocol with an
// exception, and some wrong types before it validates them.
func better(c *wireCase, err error) bool {
	var refused *apimodel.APIError
	var invalid *ParamError
	switch {
	case strings.Contains(c.Raised, "MissingDependencyException"): // neither side signs with SigV4A
		return errors.As(err, &invalid) || err != nil && strings.Contains(err.Error(), "sigv4a, which is not supported")
	case strings.Contains(c.Raised, "NoAuthTokenError"):
		return err != nil && strings.Contains(err.Error(), "not signed with AWS credentials")
	case c.Kind == "error" && strings.Contains(c.Raised, "ResponseParserError"):
		return errors.As(err, &refused) && refused.Code == strconv.Itoa(c.Status)
	case c.Kind == "wrong" && strings.Contains(c.Raised, "ResponseParserError"):
		return err == nil // it was not spoilt after all
	case c.Kind == "wrong":
		return errors.As(err, &invalid)
	}
	return false
}

// alike takes boto3's lack of a request id for ours: it looks for it in one
// place of an answer, ours in all.
func alike(c *wireCase, want, got any) {
	w, _ := want.(map[string]any)
	g, _ := got.(map[string]any)
	wm, _ := w["ResponseMetadata"].(map[string]any)
	gm, _ := g["ResponseMetadata"].(map[string]any)
	if wm == nil || gm == nil {
		return
	}
	if c.Kind == "error" && c.name() == "s3:GetBucketLocation" {
		delete(w, "LocationConstraint") // the None of a handler that does not look whether it is an error
	}
	if id, _ := wm["RequestId"].(string); id == "" {
		delete(wm, "RequestId")
		delete(gm, "RequestId")
	}
}

func theirResult(c *wireCase) any {
	switch {
	case c.Output != nil:
		return settled(c.Output)
	case c.Error != nil:
		return settled(c.Error)
	case c.Invalid != "":
		return c.Invalid
	}
	return "raised " + c.Raised
}

func ourResult(reply apimodel.Reply, err error) any {
	var refused *apimodel.APIError
	var invalid *ParamError
	switch {
	case err == nil:
		return settled(mark(reply.Output))
	case errors.As(err, &refused) && refused.Code != CodeUnreadable && refused.Code != CodeConnectionLost:
		return settled(mark(errorResponse(refused)))
	case errors.As(err, &invalid):
		return invalid.Error()
	}
	return "raised " + err.Error()
}

// errorResponse gives ClientError.response as ours has it.
func errorResponse(e *apimodel.APIError) map[string]any {
	out := map[string]any{}
	for k, v := range e.Members {
		out[k] = v
	}
	out["Error"] = map[string]any{"Code": e.Code, "Message": e.Message}
	out["ResponseMetadata"] = map[string]any{"RequestId": e.RequestID, "HTTPStatusCode": int64(e.HTTPStatus)}
	return out
}

// diff notes a difference; r.mu is held.
func (r *wireRun) diff(c *wireCase, what string, want, got any) {
	diff := gocmp.Diff(want, got)
	if diff == "" {
		return
	}
	for _, key := range []string{c.name() + " " + what, c.Service + " " + what} {
		if _, known := wireExceptions[key]; known {
			r.hits[key]++
			r.excepted[c.name()] = true
			return
		}
	}
	r.differ[c.name()] = true
	if r.shown++; r.shown <= wireShown() {
		input, _ := json.Marshal(c.Input)
		r.t.Errorf("%s (%s, case %d): %s differs (-boto3 +ours):\n%s\ninput: %.1500s\nanswer: %d %v %.1500s", c.name(), c.Kind, c.N, what, diff, input, c.Status, c.Headers, c.Body)
	}
}

func wireShown() int {
	n, err := strconv.Atoi(os.Getenv("PARRY_WIRE_SHOWN"))
	if err != nil {
		return 40
	}
	return n
}

func (r *wireRun) finish(streams, services int) {
	r.t.Logf("%d operations of %d services, %d calls on each side, %d signatures of equal requests equal, %d wrong inputs; %d operations differ, %d are listed exceptions; %d operations with event streams left out",
		r.operations, services, r.cases, r.signatures, r.wrongTexts, len(r.differ), len(r.excepted), streams)
	for key, why := range wireExceptions {
		if r.hits[key] == 0 && os.Getenv("PARRY_ALL_SERVICES") != "" {
			r.t.Errorf("the exception %q (%s) no longer differs: take it out", key, why)
		}
	}
	if r.operations < 4000 && os.Getenv("PARRY_SERVICE") == "" {
		r.t.Errorf("only %d operations were compared", r.operations)
	}
	if r.operations > 1000 && len(r.excepted)*100 > r.operations {
		r.t.Errorf("%d operations of %d have exceptions, more than 1 %%", len(r.excepted), r.operations)
	}
	for name := range r.excepted {
		if service, _, _ := strings.Cut(name, ":"); slices.Contains(wireAlways, service) {
			r.t.Errorf("%s has an exception, and the catalogue uses its service", name)
		}
	}
	if len(r.differ) > 0 {
		names := slices.Sorted(func(yield func(string) bool) {
			for n := range r.differ {
				if !yield(n) {
					return
				}
			}
		})
		r.t.Errorf("%d operations differ: %s", len(names), strings.Join(names[:min(len(names), 300)], " "))
	}
}

// wireExceptions are the differences that stay, by "service:Operation what" or
// "service what", with what AWS or botocore says. One that no longer differs
// fails the test.
var wireExceptions = map[string]string{
	// SimpleDB is signed with version 2, which ours refuses: signatureVersion in botocore/data/sdb/2009-04-15 and
	// https://docs.aws.amazon.com/AmazonSimpleDB/latest/DeveloperGuide/HMACAuth.html
	"sdb request": "refused: signature version 2",
	"sdb result":  "refused: signature version 2",
	// Its answer holds all headers under their names, whose letters Go's HTTP client makes canonical; they mean the
	// same in any case: https://docs.aws.amazon.com/data-exchange/latest/apireference/API_SendApiAsset.html
	"dataexchange:SendApiAsset result": "names of headers in lower case",
}

// unmark turns the marks of Python into values, and JSON's numbers into int64
// or float64.
func unmark(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		if len(v) == 1 {
			if text, ok := v["$bytes"].(string); ok {
				b, _ := base64.StdEncoding.DecodeString(text)
				return b
			}
			if text, ok := v["$time"].(string); ok {
				when, _ := time.Parse(time.RFC3339Nano, text)
				return when
			}
			if text, ok := v["$float"].(string); ok {
				f, _ := strconv.ParseFloat(text, 64)
				return f
			}
		}
		out := map[string]any{}
		for k := range v {
			out[k] = unmark(v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = unmark(v[i])
		}
		return out
	}
	return v
}

// mark writes a value of ours as Python writes its own, one text for each
// scalar, so that 7 and 7.0 and "7" differ.
func mark(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			out[k] = mark(v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = mark(v[i])
		}
		return out
	case []byte:
		return "bytes " + base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return "time " + v.UTC().Format(time.RFC3339Nano)
	case float64:
		return "float " + strconv.FormatFloat(v, 'g', -1, 64)
	case int64:
		return "int " + strconv.FormatInt(v, 10)
	}
	return v
}

// settled makes either side's result one form and leaves out what is no result.
func settled(v any) any {
	out, _ := mark(unmark(v)).(map[string]any)
	e, failed := out["Error"].(map[string]any)
	meta, ok := out["ResponseMetadata"].(map[string]any)
	if !failed || !ok {
		return out
	}
	out["Error"] = map[string]any{"Code": e["Code"], "Message": e["Message"]}
	if e["Message"] == nil {
		out["Error"] = map[string]any{"Code": e["Code"], "Message": ""}
	}
	out["ResponseMetadata"] = map[string]any{"RequestId": meta["RequestId"], "HTTPStatusCode": meta["HTTPStatusCode"]}
	return out
}
