package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsfront/sigv4"
	"github.com/parry-security/parry/internal/fault"
)

// ServiceConfig says what a service of AWS JSON 1.1 is. Everything is required.
type ServiceConfig[C any] struct {
	// Title is what people call it: EventBridge.
	Title string
	// Prefix stands before the operation in X-Amz-Target.
	Prefix string
	// Model gives AWS's model of it: when the first operation is asked for that has its
	// input checked, not before, since a model is a megabyte or two.
	Model func() (*apimodel.Service, error)
	// MaxBody is the largest body that is taken, in bytes.
	MaxBody int64
	// Caller gives who asks, from a request's context.
	Caller func(ctx context.Context) C
	// Error words an error as the service does.
	Error  func(error) *Error
	Logger *slog.Logger
}

// Service answers a service of AWS JSON 1.1 whose operations are asked by a C.
type Service[C any] struct {
	cfg        ServiceConfig[C]
	operations map[string]operation[C]
	model      func() (*apimodel.Service, error)
	patterns   Patterns
}

type operation[C any] struct {
	reads bool
	serve func(ctx context.Context, c C, body []byte) (any, error)
}

// NewService makes a service without operations: they are added before it is asked.
func NewService[C any](cfg ServiceConfig[C]) *Service[C] {
	return &Service[C]{cfg: cfg, operations: map[string]operation[C]{}, model: sync.OnceValues(cfg.Model)}
}

// AddRaw enters an operation that permits and reads for itself.
func (s *Service[C]) AddRaw(name string, reads bool, serve func(ctx context.Context, c C, body []byte) (any, error)) {
	s.operations[name] = operation[C]{reads, serve}
}

// Add enters an operation. Its caller is permitted first; then its input is checked
// against the model and decoded into an I.
func Add[C, I any](s *Service[C], name string, reads bool, permit func(c C) error, answer func(ctx context.Context, c C, in *I) (any, error)) {
	s.AddRaw(name, reads, func(ctx context.Context, c C, body []byte) (any, error) {
		if err := permit(c); err != nil {
			return nil, err
		}
		model, err := s.input(name)
		if err != nil {
			return nil, err
		}
		clean, err := ReadInput(body, model, &s.patterns)
		if err != nil {
			return nil, err
		}
		in := new(I)
		if err := json.Unmarshal(clean, in); err != nil {
			return nil, Serialization("The request body cannot be read.")
		}
		return answer(ctx, c, in)
	})
}

// input is the shape of an operation's input.
func (s *Service[C]) input(operation string) (*apimodel.Shape, error) {
	model, err := s.model()
	if err != nil {
		return nil, err
	}
	op, ok := model.Operation(operation)
	if !ok {
		return nil, fault.Errorf(fault.Internal, "answer "+s.cfg.Title, "the model has no operation %s", operation)
	}
	return op.Input, nil
}

// Operations names what is answered.
func (s *Service[C]) Operations() []string { return slices.Sorted(maps.Keys(s.operations)) }

// Reads reports whether r changes nothing.
func (s *Service[C]) Reads(r *http.Request) bool {
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), s.cfg.Prefix)
	return ok && s.operations[name].reads
}

// MaxBody is the largest body that is taken.
func (s *Service[C]) MaxBody() int64 { return s.cfg.MaxBody }

// Refuse words a request that was not let through.
func (s *Service[C]) Refuse(w http.ResponseWriter, _ *http.Request, f *sigv4.Failure) {
	e := JSONFailure(f)
	if f.Kind == sigv4.Replayed {
		// The code on which every SDK signs anew and repeats a JSON 1.1 request.
		e.Code = "ThrottlingException"
	}
	WriteJSON11Error(w, e)
}

// ServeHTTP answers one request.
func (s *Service[C]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	value, err := s.request(r)
	if err != nil {
		e := s.cfg.Error(err)
		if e.Status >= http.StatusInternalServerError {
			s.cfg.Logger.ErrorContext(r.Context(), "request failed", "target", Clip(r.Header.Get("X-Amz-Target")), "error", err)
		}
		WriteJSON11Error(w, e)
		return
	}
	WriteJSON11(w, value)
}

func (s *Service[C]) request(r *http.Request) (any, error) {
	target := r.Header.Get("X-Amz-Target")
	name, ok := strings.CutPrefix(target, s.cfg.Prefix)
	if r.Method != http.MethodPost || r.URL.Path != "/" || !ok || len(r.Header.Values("X-Amz-Target")) != 1 {
		return nil, s.unserved(target)
	}
	raw, err := ReadBody(r)
	if err != nil {
		return nil, Serialization("The request body ended early.")
	}
	return s.Answer(r.Context(), s.cfg.Caller(r.Context()), name, raw)
}

// Answer answers one operation of a caller; body is its input as JSON. It gives the output
// as a value that encodes to AWS's JSON, and errors as Error or with a fault code.
func (s *Service[C]) Answer(ctx context.Context, c C, name string, body []byte) (any, error) {
	op, ok := s.operations[name]
	if !ok {
		return nil, s.unserved(name)
	}
	return op.serve(ctx, c, body)
}

func (s *Service[C]) unserved(name string) error {
	return &Error{
		Status: http.StatusBadRequest, Code: "UnknownOperationException",
		Message: "Parry does not answer " + Clip(strings.TrimPrefix(name, s.cfg.Prefix)) + " of " + s.cfg.Title + ". It answers " + Enumerate(s.Operations()) + ".",
	}
}

// Kind is a code of a service and the HTTP status that goes with it.
type Kind struct {
	Code   string
	Status int
}

// ErrorOf words err by its fault code. What is internal, or of a code that kinds does not
// have, is told with kinds' word for fault.Internal and stays in the log.
func ErrorOf(err error, kinds map[fault.Code]Kind) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	code := fault.CodeOf(err)
	if code == fault.Unavailable {
		return &Error{http.StatusServiceUnavailable, kinds[fault.Internal].Code, "The service is not available at the moment. Try again."}
	}
	if kind, ok := kinds[code]; ok && code != fault.Internal {
		return &Error{kind.Status, kind.Code, Message(err)}
	}
	return &Error{http.StatusInternalServerError, kinds[fault.Internal].Code, "Internal server error. The reason is in the server's log."}
}

// Message is what is said of err, with its hint.
func Message(err error) string {
	message, hint := err.Error(), fault.HintOf(err)
	if hint == "" || strings.Contains(message, hint) {
		return message
	}
	return message + ". " + hint
}
