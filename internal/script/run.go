package script

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// message is what comes out of a child.
type message struct {
	T         string          `json:"t"`
	Stream    int             `json:"s"`
	Bytes     json.RawMessage `json:"b"`
	N         int             `json:"n"`
	Service   string          `json:"service"`
	Operation string          `json:"operation"`
	Region    string          `json:"region"`
	As        string          `json:"as"`
	Input     json.RawMessage `json:"input"`
	Payload   string          `json:"payload"`
	Type      string          `json:"type"`
	Message   string          `json:"message"`
	Traceback string          `json:"traceback"`
	Limit     string          `json:"limit"`
}

// errTime ends a script whose time is over.
var errTime = errors.New("the script's time is over")

// Run runs one job. An error is the sandbox's or the context's; what the script
// did wrong is in the Result. When Run returns, nothing of the script is left.
func (r *Runner) Run(ctx context.Context, job Job) (Result, error) {
	if err := job.validate(); err != nil {
		return Result{}, err
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return Result{}, fmt.Errorf("wait for a free slot for the script: %w", context.Cause(ctx))
	}
	c, err := r.child(ctx)
	if err != nil {
		return Result{}, err
	}
	defer c.end()
	if job.Timeout <= 0 || job.Timeout > r.cfg.Limits.Timeout {
		job.Timeout = r.cfg.Limits.Timeout
	}
	limited, cancel := context.WithTimeoutCause(ctx, job.Timeout, errTime)
	defer cancel()
	// Whatever the script is at, it ends with the context.
	defer context.AfterFunc(limited, c.kill)()
	defer c.guard(limited, r.cfg.Limits)()
	t := &talk{job: &job, limits: r.cfg.Limits, child: c}
	result, err := t.run(limited)
	if err != nil && limited.Err() != nil {
		if ctx.Err() != nil {
			return Result{}, fmt.Errorf("script interrupted: %w", context.Cause(ctx))
		}
		result, err = t.failed(LimitTime, "the script did not end within %s", job.Timeout), nil
	}
	return result, err
}

// talk is the conversation with one child. Nothing that the child says is
// believed: it may be anything but the code that we sent.
type talk struct {
	job            *Job
	limits         Limits
	child          *child
	stdout, stderr capture
	flood          int64
	calls          int
}

func (t *talk) run(ctx context.Context) (Result, error) {
	if err := t.begin(); err != nil {
		return t.gone(ctx, err)
	}
	for {
		raw, err := readFrame(t.child.conn, t.limits.Request)
		if err != nil {
			return t.gone(ctx, err)
		}
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		var m message
		if err := json.Unmarshal(raw, &m); err != nil {
			return t.failed(LimitProtocol, "the script's process sent what is no message"), nil //nolint:nilerr // a hostile peer is the script's own fate
		}
		result, err := t.take(ctx, m, len(raw))
		if result != nil || err != nil {
			return deref(result), err
		}
	}
}

func deref(r *Result) Result {
	if r == nil {
		return Result{}
	}
	return *r
}

// begin sends the job.
func (t *talk) begin() error {
	payload, err := json.Marshal(t.job.Payload)
	if err != nil {
		return fault.E(fault.Invalid, "send the script's payload", err)
	}
	files := make(map[string]any, len(t.job.Attachments))
	for name, data := range t.job.Attachments {
		files[name] = data
	}
	raw, err := encode(map[string]any{
		"t": "job", "handler": t.job.Handler, "source": t.job.Source, "attachments": files, "payload": string(payload),
		"region": t.job.Region, "planning": t.job.Planning,
		"context": map[string]any{
			"automation:EXECUTION_ID": t.job.Execution, "global:REGION": t.job.Region, "global:ACCOUNT_ID": t.job.Account,
			"global:AWS_PARTITION": t.job.Partition, "step": t.job.Label,
		},
	})
	if err != nil {
		return fault.E(fault.Invalid, "send the script", err)
	}
	return writeFrame(t.child.conn, raw, t.limits.Reply)
}

// take treats one message. A result ends the conversation.
func (t *talk) take(ctx context.Context, m message, size int) (*Result, error) {
	switch m.T {
	case "out":
		// Somebody who only floods us costs us time: it has an end.
		if t.flood += int64(size); t.flood > 64<<20 {
			r := t.failed(LimitOutput, "the script printed more than %d bytes", 64<<20)
			return &r, nil
		}
		return nil, t.print(m)
	case "entered":
		if t.job.Entered != nil {
			t.job.Entered()
		}
		return nil, nil
	case "call":
		return t.call(ctx, m)
	case "done":
		r := t.done(m)
		return &r, nil
	case "fail":
		r := t.failed(ownLimit(m.Limit), "%s", clip(m.Message, 10_000))
		r.Failure.Type, r.Failure.Traceback = clip(m.Type, 500), clip(m.Traceback, 20_000)
		return &r, nil
	default:
		r := t.failed(LimitProtocol, "the script's process sent a message of an unknown kind")
		return &r, nil
	}
}

// ownLimit gives the limit that the child says it met, where it is one that only the
// child can see.
func ownLimit(limit string) string {
	switch limit {
	case LimitMemory, LimitPayload, LimitResult:
		return limit
	}
	return ""
}

func (t *talk) print(m message) error {
	v, err := decode(m.Bytes)
	data, ok := v.([]byte)
	if err != nil || !ok {
		return nil //nolint:nilerr // what cannot be read has not been printed
	}
	out := &t.stdout
	if m.Stream == 2 {
		out = &t.stderr
	}
	out.write(data, t.limits.Output)
	return nil
}

// call asks whoever answers the job's calls.
func (t *talk) call(ctx context.Context, m message) (*Result, error) {
	if t.calls++; t.calls > t.limits.Calls {
		r := t.failed(LimitCalls, "the script made more than %d AWS calls", t.limits.Calls)
		return &r, nil
	}
	input, err := decode(m.Input)
	members, ok := input.(map[string]any)
	if err != nil || !ok || len(m.Service) > 100 || len(m.Operation) > 200 || len(m.Region) > 100 || len(m.As) > 2048 {
		r := t.failed(LimitProtocol, "the script's process sent a call that cannot be read")
		return &r, nil //nolint:nilerr // the result says so
	}
	region := m.Region
	if region == "" {
		region = t.job.Region
	}
	account := t.job.Account
	if m.As != "" {
		account = "" // the identity says which
	}
	reply, err := t.job.Call(ctx, apimodel.Call{Service: m.Service, Operation: m.Operation, Account: account, Region: region, Input: members, As: m.As})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil && ends(err) {
		r := t.failed("", "the script was stopped: %s", err.Error())
		r.Failure.Stop = err
		return &r, nil
	}
	raw, err := answer(m, reply, err, t.limits.Reply)
	if err != nil {
		return nil, fault.E(fault.Internal, "answer the script's call "+m.Service+":"+m.Operation, err)
	}
	if err := writeFrame(t.child.conn, raw, t.limits.Reply); err != nil {
		r, err := t.gone(ctx, err)
		return &r, err
	}
	return nil, nil
}

func (t *talk) done(m message) Result {
	if len(m.Payload) > t.limits.Payload {
		return t.failed(LimitPayload, "the handler's return value has %d bytes as JSON, the limit is %d", len(m.Payload), t.limits.Payload)
	}
	if bounded([]byte(m.Payload)) != nil {
		return t.failed(LimitResult, "the handler's return value is nested too deep")
	}
	dec := json.NewDecoder(strings.NewReader(m.Payload))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() {
		return t.failed(LimitResult, "the handler's return value is not JSON")
	}
	r := t.result()
	r.Payload = numbers(v)
	return r
}

// numbers makes integers int64 where they fit, and other numbers float64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // too large is infinite, which the next encoder refuses
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

func (t *talk) result() Result {
	return Result{Stdout: t.stdout.text(), Stderr: t.stderr.text(), Calls: t.calls}
}

// failed gives a failure of the sandbox's own.
func (t *talk) failed(limit, format string, args ...any) Result {
	r := t.result()
	r.Failure = &Failure{Type: "ParrySandboxError", Message: fmt.Sprintf(format, args...), Limit: limit}
	return r
}

// gone gives the reason why the child speaks no more.
func (t *talk) gone(ctx context.Context, err error) (Result, error) {
	switch {
	case ctx.Err() != nil:
		return Result{}, ctx.Err()
	case errors.Is(err, errFrame):
		return t.failed(LimitProtocol, "the script sent more at once than %d bytes", t.limits.Request), nil
	case errors.Is(err, errShape):
		return t.failed(LimitProtocol, "the script sent a value that is nested too deep or has too many members"), nil
	case fault.Is(err, fault.Invalid):
		return Result{}, err
	}
	limit, text, err := t.child.fate(ctx)
	if err != nil {
		return Result{}, err
	}
	return t.failed(limit, "%s", text), nil
}

// capture keeps what is printed, up to a limit.
type capture struct {
	buf bytes.Buffer
	cut bool
}

func (c *capture) write(data []byte, limit int) {
	room := limit - c.buf.Len()
	if len(data) > room {
		c.cut = true
		data = data[:max(room, 0)]
	}
	c.buf.Write(data)
}

func (c *capture) text() string {
	text := strings.ToValidUTF8(c.buf.String(), "\uFFFD")
	if c.cut {
		text += "\n[the rest was not kept]\n"
	}
	return text
}

// clip shortens s to n bytes of whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// holder is a refusal that is only for now; see internal/automation.
type holder interface {
	error
	Held() time.Duration
}

// ends reports whether err must end the script, whatever the script would make
// of it: the gate refused for good, or asks to come back later.
func ends(err error) bool {
	if code := fault.CodeOf(err); code == fault.Conflict || code == fault.Denied {
		return true
	}
	var h holder
	return !fault.IsTerminal(err) && errors.As(err, &h)
}
