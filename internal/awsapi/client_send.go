package awsapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// Codes of errors that no service answers but the client finds.
const (
	// CodeConnectionLost says that the connection broke before an answer came.
	CodeConnectionLost = "ConnectionClosedError"
	// CodeUnreadable says that a success came whose body could not be read.
	CodeUnreadable = "ResponseParserError"
)

// SendWith is Send with options.
func (c *Client) SendWith(ctx context.Context, creds Credentials, call apimodel.Call, opts SendOptions) (apimodel.Reply, error) {
	p, err := c.prepare(call, opts)
	if err != nil {
		return apimodel.Reply{}, err
	}
	signed, err := authOf(p.op.op, p.rt.service)
	if err != nil {
		return apimodel.Reply{}, err
	}
	if signed && !creds.Valid() {
		return apimodel.Reply{}, fault.Errorf(fault.Denied, "call "+p.name(), "no credentials").
			WithHint("set AWS_PROFILE or the AWS_ACCESS_KEY_ID variables")
	}
	msg, err := p.rt.write(ctx, p.op, p.input)
	if err != nil {
		return apimodel.Reply{}, err
	}
	if err := adaptMessage(p, &msg); err != nil {
		return apimodel.Reply{}, err
	}
	s := &sending{c: c, p: p, msg: msg, creds: creds, signed: signed, account: call.Account, region: p.region}
	if err := s.presignCopy(ctx); err != nil {
		return apimodel.Reply{}, err
	}
	s.bucket = c.throttle.bucketFor(firstNonEmpty(call.Account, creds.Account, creds.AccessKeyID), p.region, p.rt.service.Name, p.op.op.Name)
	s.repeatable = p.class == apimodel.Read || p.class == apimodel.SensitiveRead || opts.RetryUncertain || hasToken(p)
	return s.run(ctx)
}

func (p *prepared) name() string { return p.rt.service.Name + ":" + p.op.op.Name }

// hasToken reports whether AWS knows the request again: botocore's tokens are
// filled in by now, others are there if the caller gave them.
func hasToken(p *prepared) bool {
	_, ok := p.op.op.RepeatMember(p.rt.service.Name, p.input)
	return ok
}

func firstNonEmpty(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// authOf reports whether an operation is signed. Only AWS signatures are known.
func authOf(op *apimodel.Operation, s *apimodel.Service) (bool, error) {
	if op.AuthType == "none" {
		return false, nil
	}
	schemes := op.Auth
	if len(schemes) == 0 {
		schemes = s.Auth
	}
	switch {
	case len(schemes) == 0 && strings.HasPrefix(s.SignatureVersion, "bearer"):
	case s.Name == "sdb": // SimpleDB knows signature version 2 alone
	case len(schemes) == 0, slices.Contains(schemes, "aws.auth#sigv4"):
		return true, nil
	case slices.Contains(schemes, "smithy.api#noAuth"):
		return false, nil
	}
	return false, fault.Errorf(fault.Invalid, "call "+s.Name+":"+op.Name, "it is not signed with AWS credentials, which is all that is supported")
}

// sending is one call on its way, over all its attempts.
type sending struct {
	c          *Client
	p          *prepared
	msg        message
	creds      Credentials
	signed     bool
	account    string // as the call names it
	region     string
	redirected bool
	repeatable bool
	doubt      bool // an attempt so far may have done its work without saying so
	bucket     *bucket
	failures   int // attempts that failed otherwise than by throttling
	spent      int // of the bucket's budget
}

// run sends until there is an answer to give. Throttling says for certain that
// nothing was done and that later it may be, so it is met with patience, as long
// as the caller's deadline leaves time to say what was last heard; other failures
// are met with a few attempts within the budget.
func (s *sending) run(ctx context.Context) (apimodel.Reply, error) {
	patient, cancel := s.c.patience(ctx)
	defer cancel()
	var last failure
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			if err := s.pause(patient, last, attempt); err != nil {
				return apimodel.Reply{}, s.failed(ctx, last, attempt-1)
			}
		}
		sent, err := s.bucket.wait(patient)
		if err != nil {
			if attempt == 0 {
				return apimodel.Reply{}, s.crowded(ctx, err)
			}
			return apimodel.Reply{}, s.failed(ctx, last, attempt-1)
		}
		if err := s.permitted(ctx); err != nil {
			return apimodel.Reply{}, s.held(attempt, err)
		}
		a, f := s.attempt(ctx)
		if f == nil {
			s.bucket.earn(s.spent)
			return s.reply(a, attempt)
		}
		last = *f
		if last.throttled() {
			s.bucket.throttled(sent)
		}
		s.doubt = s.doubt || s.c.retry.isUncertain(last)
		if !s.again(ctx, last, attempt+1) {
			return apimodel.Reply{}, s.failed(ctx, last, attempt)
		}
	}
}

// again decides whether a failure is worth another attempt, after so many, and
// pays for it.
func (s *sending) again(ctx context.Context, f failure, attempts int) bool {
	if !s.c.retry.mayRetry(ctx, f, s.repeatable) || s.c.retry.strict && attempts >= s.c.retry.attempts {
		return false
	}
	if f.throttled() {
		s.c.log.DebugContext(ctx, "aws call was throttled and will be repeated", "service", s.p.rt.service.Name, "operation", s.p.op.op.Name, "attempt", attempts)
		return true
	}
	if s.failures++; s.failures >= s.c.retry.attempts {
		return false
	}
	cost := f.cost()
	if !s.bucket.spend(cost) {
		s.c.log.WarnContext(ctx, "aws call will not be repeated: too many fail", "service", s.p.rt.service.Name, "operation", s.p.op.op.Name)
		return false
	}
	s.spent += cost
	s.c.log.WarnContext(ctx, "aws call will be repeated", "service", s.p.rt.service.Name, "operation", s.p.op.op.Name, "attempt", attempts)
	return true
}

// pause waits between attempts, unless the next one would come too late.
func (s *sending) pause(ctx context.Context, f failure, attempt int) error {
	d := s.c.retry.delay(attempt, f)
	if end, ok := ctx.Deadline(); ok && d > end.Sub(s.c.cfg.Clock.Now()) {
		return context.DeadlineExceeded
	}
	return s.c.cfg.Sleep(ctx, d)
}

// crowded words the end of a call that did not get its turn.
func (s *sending) crowded(ctx context.Context, err error) error {
	e := fault.E(fault.Unavailable, "call "+s.p.name(), err)
	if ctx.Err() != nil {
		return e
	}
	e.Err = fmt.Errorf("too many calls of %s wait in account %s, %s", s.bucket.key.service, s.bucket.key.account, s.bucket.key.region)
	return fault.Transient(e.WithHint("it is tried again; the limits of aws.rate decide how fast"), 0)
}

// attempt sends once. The second result is nil for a success.
func (s *sending) attempt(ctx context.Context) (*success, *failure) {
	ep, err := s.endpoint()
	if err != nil {
		return nil, &failure{err: fault.Terminal(err)}
	}
	ctx, stop := context.WithTimeoutCause(ctx, s.attemptLimit(), errNoAnswer)
	defer stop()
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	req, err := s.request(httptrace.WithClientTrace(ctx, trace), ep)
	if err != nil {
		return nil, &failure{err: fault.Terminal(err)}
	}
	resp, err := s.c.cfg.HTTP.Do(req)
	if s.c.cfg.Sent != nil && (err == nil || sent.Load()) {
		s.c.cfg.Sent(Sent{Service: s.p.rt.service.Name, Operation: s.p.op.op.Name, Account: firstNonEmpty(s.account, s.creds.Account), Region: s.region})
	}
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errNoAnswer) {
			err = cause
		}
		return nil, &failure{err: err, sent: sent.Load()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, s.c.cfg.MaxBody+1))
	if err != nil {
		return nil, &failure{err: fmt.Errorf("read answer: %w", err), sent: true}
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: body}
	if int64(len(body)) > s.c.cfg.MaxBody {
		return nil, s.unreadable(a, fmt.Errorf("answer is larger than %d bytes", s.c.cfg.MaxBody))
	}
	if resp.StatusCode >= 300 || s.p.rt.isHiddenError(s.p.op, a) {
		return nil, s.refused(ctx, a, req.URL.Host)
	}
	checked, err := checkBody(s.p, a)
	if err != nil {
		return nil, s.unreadable(a, err)
	}
	out, err := s.p.rt.read(ctx, s.p.op, a)
	if err != nil {
		return nil, s.unreadable(a, err)
	}
	return &success{out: out, answer: a, checked: checked}, nil
}

// The time that one attempt may take, its answer read to the end. Operations that
// do their work before they answer take as long as the caller gives them, up to
// what the service allows: a Lambda function runs for 15 minutes at most, an
// express workflow for five.
//
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
const defaultAttemptLimit = 90 * time.Second

var attemptLimits = map[string]time.Duration{
	"lambda:Invoke": 15*time.Minute + defaultAttemptLimit, "stepfunctions:StartSyncExecution": 5*time.Minute + defaultAttemptLimit,
}

// errNoAnswer is the cause of an attempt that ended for taking too long.
var errNoAnswer error = noAnswerError{}

type noAnswerError struct{}

func (noAnswerError) Error() string { return "no answer came in time" }
func (noAnswerError) Timeout() bool { return true }

func (s *sending) attemptLimit() time.Duration {
	if d, ok := attemptLimits[s.p.name()]; ok {
		return d
	}
	return defaultAttemptLimit
}

type success struct {
	out     map[string]any
	answer  answer
	checked string // algorithm of the checksum that the body was compared with
}

// unreadable is a success whose answer could not be read. A change was made, so
// it is not sent again.
func (s *sending) unreadable(a answer, err error) *failure {
	text := "the answer could not be read: " + clip(printable(err.Error()))
	if looksLikeHTML(a) {
		text += "; it is an HTML page, so it may come from a proxy or a wrong endpoint"
	}
	return &failure{sent: true, err: fault.Terminal(&apimodel.APIError{
		Service: s.p.rt.service.Name, Operation: s.p.op.op.Name, Code: CodeUnreadable, Message: text,
		HTTPStatus: a.status, RequestID: requestID(a), Uncertain: s.p.class == apimodel.Change,
	})}
}

// refused reads an error answer and learns from it.
func (s *sending) refused(ctx context.Context, a answer, host string) *failure {
	e := s.p.rt.readError(ctx, s.p.op, a)
	f := &failure{err: e, sent: true, retryAfter: parseRetryAfter(a.header, s.c.cfg.Clock.Now())}
	if a.status < 300 {
		e.HTTPStatus = http.StatusInternalServerError // what botocore makes of a hidden error
		f.definite = e.Code != "InternalError"
	}
	e.Throttled = s.c.retry.isThrottle(e)
	if skew, ok := skewOf(e, a.header, s.c.now(host)); ok {
		s.c.learnSkew(host, skew)
		f.skew = true
	}
	if region := s.otherRegion(a); region != "" {
		s.region, s.redirected, f.skew = region, true, true
	}
	return f
}

// now is the time as the service has it.
func (c *Client) now(host string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.Clock.Now().Add(c.skews[host])
}

func (c *Client) learnSkew(host string, more time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.skews) > 1000 {
		clear(c.skews)
	}
	c.skews[host] += more
}

// reply makes the answer what boto3 returns.
func (s *sending) reply(ok *success, retries int) (apimodel.Reply, error) {
	headers := make(map[string]any, len(ok.answer.header))
	for name, values := range ok.answer.header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	meta := map[string]any{"HTTPStatusCode": int64(ok.answer.status), "HTTPHeaders": headers, "RetryAttempts": int64(retries)}
	if id := requestID(ok.answer); id != "" {
		meta["RequestId"] = id
	}
	if id := ok.answer.header.Get("X-Amz-Id-2"); id != "" && isS3(s.p.rt.service) {
		meta["HostId"] = id
	}
	if ok.checked != "" {
		meta["ChecksumAlgorithm"] = ok.checked
	}
	adaptOutput(s.p, ok.out)
	expiresText(s.p, ok.answer, ok.out)
	ok.out["ResponseMetadata"] = meta
	return apimodel.Reply{Output: ok.out}, nil
}

// failed words the end of the last attempt.
func (s *sending) failed(ctx context.Context, f failure, retries int) error {
	change := s.p.class == apimodel.Change
	var e *apimodel.APIError
	if errors.As(f.err, &e) {
		e.Retries = retries
		e.Uncertain = e.Uncertain || (change && s.doubt)
		return e
	}
	if fault.IsTerminal(f.err) {
		return f.err
	}
	err := f.err
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if change && s.doubt {
		lost := &apimodel.APIError{
			Service: s.p.rt.service.Name, Operation: s.p.op.op.Name, Code: CodeConnectionLost, Retries: retries, Uncertain: true,
			Message: "the connection ended before an answer came; the change may or may not have been made",
		}
		return &lostError{lost: lost, cause: err}
	}
	return fault.Transient(fault.E(fault.Unavailable, "call "+s.p.name(), err).
		WithHint("check the network and AWS_ENDPOINT_URL"), 0)
}

// lostError is a lost answer with what ended the connection, so that a caller
// sees both an *apimodel.APIError and a cancelled context.
type lostError struct {
	lost  *apimodel.APIError
	cause error
}

// Error prints both.
func (e *lostError) Error() string { return e.lost.Error() + ": " + e.cause.Error() }

// Unwrap gives both to errors.Is and errors.As.
func (e *lostError) Unwrap() []error { return []error{e.lost, e.cause} }
