package awsapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"github.com/parry-security/parry/internal/apimodel"
)

// failure is one attempt that gave no success.
type failure struct {
	err        error // *apimodel.APIError, or the transport's
	sent       bool  // the request had left when it failed
	retryAfter time.Duration
	skew       bool // the service disagreed about the time or the place: sign again
	definite   bool // whatever the status, nothing was done
}

// throttled reports whether AWS turned the attempt away for coming too fast.
func (f failure) throttled() bool {
	var e *apimodel.APIError
	return errors.As(f.err, &e) && e.Throttled
}

// cost is what a repetition takes from the budget.
func (f failure) cost() int {
	if t := (interface{ Timeout() bool })(nil); errors.As(f.err, &t) && t.Timeout() {
		return timeoutCost
	}
	return retryCost
}

// retryPolicy decides what is sent again. The codes and the waits are those of
// the AWS SDK's standard mode; what it does not know is that a change whose
// answer was lost must not be sent twice.
type retryPolicy struct {
	attempts int
	strict   bool // attempts bounds throttled ones too
	backoff  *retry.ExponentialJitterBackoff
	spread   *retry.ExponentialJitterBackoff // after throttling
	throttle retry.IsErrorThrottles
	again    retry.IsErrorRetryables
}

const (
	defaultAttempts = 3
	maxBackoff      = 20 * time.Second
	// maxSpread is the longest wait after throttling that the service did not ask
	// for. It only spreads the callers: what slows them down is the bucket.
	maxSpread = 500 * time.Millisecond
	// maxPatience bounds a call whose caller set no deadline.
	maxPatience = 5 * time.Minute
	// lastWords is the part of a caller's time that is kept to tell it what was
	// last heard, so that it sees throttling and not a deadline.
	lastWords = 10
)

// patience gives the time in which a call may be repeated.
func (c *Client) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	left := maxPatience
	if end, ok := ctx.Deadline(); ok {
		left = min(left, end.Sub(c.cfg.Clock.Now()))
	}
	return context.WithTimeout(ctx, left-min(left/lastWords, 5*time.Second))
}

func newRetryPolicy(attempts int, strict bool) *retryPolicy {
	return &retryPolicy{
		attempts: attempts, strict: strict,
		backoff: retry.NewExponentialJitterBackoff(maxBackoff), spread: retry.NewExponentialJitterBackoff(maxSpread),
		throttle: retry.IsErrorThrottles{retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}},
		again: retry.IsErrorRetryables{
			retry.NoRetryCanceledError{},
			retry.RetryableError{},
			retry.RetryableErrorCode{Codes: retry.DefaultRetryableErrorCodes},
			retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes},
			retry.RetryableHTTPStatusCode{Codes: retry.DefaultRetryableHTTPStatusCodes},
			retry.RetryableConnectionError{},
		},
	}
}

// attemptsFrom reads AWS_MAX_ATTEMPTS; anything but a positive number is the
// default. Who sets it means every attempt, throttled ones too, as in the SDKs.
func attemptsFrom(env func(string) string) (n int, strict bool) {
	if n, err := strconv.Atoi(strings.TrimSpace(env("AWS_MAX_ATTEMPTS"))); err == nil && n > 0 {
		return min(n, 20), true
	}
	return defaultAttempts, false
}

// sdkError shows an APIError to the SDK's classifiers.
type sdkError struct{ *apimodel.APIError }

func (e sdkError) ErrorCode() string             { return e.Code }
func (e sdkError) ErrorMessage() string          { return e.Message }
func (e sdkError) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }
func (e sdkError) HTTPStatusCode() int           { return e.HTTPStatus }

// isThrottle reports whether AWS refused a call for coming too fast, so that
// nothing was done.
func (p *retryPolicy) isThrottle(e *apimodel.APIError) bool {
	// Two codes of the SDK's list also say something else: that a quota is used
	// up (HTTP 400), which waiting does not change, and that another transaction
	// is under way.
	if e.Code == "LimitExceededException" || e.Code == "TransactionInProgressException" {
		return false
	}
	return e.HTTPStatus == http.StatusTooManyRequests || p.throttle.IsErrorThrottle(sdkError{e}).Bool()
}

// isUncertain reports whether a failed attempt may have done its work: the
// answer was lost, or the service broke while working.
func (p *retryPolicy) isUncertain(f failure) bool {
	if f.definite {
		return false
	}
	var e *apimodel.APIError
	if errors.As(f.err, &e) {
		// 503 is how services turn work away; other 5xx say nothing about it. 501
		// says that it was not done.
		return e.HTTPStatus >= 500 && e.HTTPStatus != http.StatusServiceUnavailable && e.HTTPStatus != http.StatusNotImplemented && !e.Throttled
	}
	return f.sent
}

// mayRetry reports whether another attempt is of use and safe.
func (p *retryPolicy) mayRetry(ctx context.Context, f failure, repeatable bool) bool {
	if ctx.Err() != nil {
		return false
	}
	if p.isUncertain(f) && !repeatable {
		return false
	}
	var e *apimodel.APIError
	if errors.As(f.err, &e) {
		return e.Throttled || f.skew || p.again.IsErrorRetryable(sdkError{e}).Bool()
	}
	// A connection that broke is worth another try; a name that does not exist is
	// not, and the SDK tells them apart. An answer that ended early is not in its
	// list.
	return f.sent || p.again.IsErrorRetryable(f.err).Bool()
}

// delay is how long to wait before attempt (1 is the first repetition): full
// jitter, but never less than the service asked for.
func (p *retryPolicy) delay(attempt int, f failure) time.Duration {
	backoff := p.backoff
	if f.throttled() {
		backoff = p.spread
	}
	d, err := backoff.BackoffDelay(attempt-1, f.err)
	if err != nil {
		d = maxBackoff
	}
	return max(d, min(f.retryAfter, maxRetryAfter))
}

// maxRetryAfter bounds what a service can make us wait.
const maxRetryAfter = 60 * time.Second

// parseRetryAfter reads the header in both of its forms, and AWS's own in
// milliseconds.
func parseRetryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseInt(h.Get("X-Amz-Retry-After"), 10, 64); err == nil && ms > 0 {
		return time.Duration(min(ms, maxRetryAfter.Milliseconds())) * time.Millisecond
	}
	v := h.Get("Retry-After")
	if s, err := strconv.ParseInt(v, 10, 64); err == nil && s > 0 {
		return time.Duration(min(s, int64(maxRetryAfter/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

// skewCodes are the errors of a service whose clock differs from ours.
var skewCodes = map[string]bool{
	"RequestTimeTooSkewed": true, "RequestExpired": true, "RequestInTheFuture": true, "InvalidSignatureException": true,
	"SignatureDoesNotMatch": true, "AuthFailure": true,
}

// maxSkew is the difference that AWS tolerates; a larger one is worth signing
// again with the service's time.
const maxSkew = 4 * time.Minute

// skewOf gives the difference of the service's clock when that explains e.
func skewOf(e *apimodel.APIError, h http.Header, now time.Time) (time.Duration, bool) {
	if !skewCodes[e.Code] {
		return 0, false
	}
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	d := theirs.Sub(now)
	return d, d.Abs() > maxSkew
}
