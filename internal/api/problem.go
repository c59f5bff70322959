package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parry-security/parry/internal/awsfront/sigv4"
	"github.com/parry-security/parry/internal/fault"
)

// Problem is an error as RFC 9457 has it, with Parry's code and hint.
type Problem struct {
	Title  string `json:"title" doc:"The HTTP status in words."`
	Status int    `json:"status" doc:"The HTTP status."`
	Code   string `json:"code" enum:"invalid,not_found,conflict,denied,exhausted,unavailable,internal" doc:"What kind of failure it is, for machines."`
	Detail string `json:"detail" doc:"What happened, for people."`
	Hint   string `json:"hint,omitempty" doc:"The next command or setting."`
	// Errors are the places of a request that does not fit the contract.
	Errors []ProblemPlace `json:"errors,omitempty" nullable:"false" doc:"The places that are wrong."`

	header http.Header // of the answer
}

// with gives p with another status and with headers.
func (p *Problem) with(status int, header http.Header) *Problem {
	p.Status, p.Title, p.header = status, http.StatusText(status), header
	return p
}

// GetHeaders gives the headers of the answer.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ProblemPlace is one place of a request that is wrong.
type ProblemPlace struct {
	Location string `json:"location,omitempty" doc:"body.reason, query.limit"`
	Message  string `json:"message"`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus gives the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType gives the media type of a problem.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// problem words err for the caller. What is internal stays in the log.
func (a *API) problem(ctx context.Context, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	code := fault.CodeOf(err)
	p = &Problem{Status: code.HTTPStatus(), Code: string(code), Detail: err.Error(), Hint: fault.HintOf(err)}
	p.Title = http.StatusText(p.Status)
	switch code {
	case fault.Internal:
		a.log.ErrorContext(ctx, "request failed", "error", err)
		p.Detail, p.Hint = "the server failed; the reason is in its log", ""
	case fault.Unavailable:
		a.log.WarnContext(ctx, "request failed", "error", err)
		p.Detail = "the server cannot do this at the moment; try again"
	default: // The others are the caller's to read in full.
	}
	return p
}

// reword turns huma's own errors into problems of ours.
func reword(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &Problem{Status: e.Status, Title: http.StatusText(e.Status), Detail: e.Detail, Code: string(codeOf(e.Status)), Hint: "the contract of every endpoint is in docs/openapi.yaml"}
	for _, d := range e.Errors {
		p.Errors = append(p.Errors, ProblemPlace{Location: d.Location, Message: d.Message})
	}
	if len(p.Errors) > 0 {
		p.Detail += ": " + p.Errors[0].Message
		if p.Errors[0].Location != "" {
			p.Detail += " (" + p.Errors[0].Location + ")"
		}
	}
	return p, nil
}

func codeOf(status int) fault.Code {
	switch {
	case status == http.StatusNotFound:
		return fault.NotFound
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return fault.Denied
	case status == http.StatusConflict:
		return fault.Conflict
	case status == http.StatusTooManyRequests:
		return fault.Exhausted
	case status == http.StatusServiceUnavailable:
		return fault.Unavailable
	case status >= http.StatusInternalServerError:
		return fault.Internal
	}
	return fault.Invalid
}

// Refuse words a request whose signature did not let it through.
func (a *API) Refuse(w http.ResponseWriter, _ *http.Request, f *sigv4.Failure) {
	p := &Problem{Status: f.Status(), Code: string(fault.Denied), Detail: f.Message}
	switch f.Kind {
	case sigv4.Missing:
		p.Status = http.StatusUnauthorized
		p.Hint = "sign the request with AWS Signature Version 4 for the service parry, or sign in"
		w.Header().Set("WWW-Authenticate", "AWS4-HMAC-SHA256")
	case sigv4.SignedOut:
		p.Status = http.StatusUnauthorized
		p.Hint = "sign in again"
	case sigv4.CrossOrigin:
		p.Hint = "open the console at its own address; behind a reverse proxy, let the proxy pass the Host header on"
	case sigv4.UnknownKey:
		p.Hint = "the key is unknown or revoked; ask an administrator, who sees: parry key list"
	case sigv4.Mismatch:
		p.Hint = "check the secret of the access key"
	case sigv4.Skewed:
		p.Hint = "set the clock of this machine"
	case sigv4.Replayed:
		p.Status, p.Code = http.StatusConflict, string(fault.Conflict)
	case sigv4.Incomplete, sigv4.Malformed, sigv4.TooLarge, sigv4.Unserved:
		p.Code = string(fault.Invalid)
	case sigv4.Busy, sigv4.Unavailable:
		p.Code = string(fault.Unavailable)
	}
	p.Title = http.StatusText(p.Status)
	writeProblem(w, p)
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	raw, err := json.Marshal(p)
	if err != nil {
		raw = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(raw) // A client that is gone needs no answer.
}

func discardLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
