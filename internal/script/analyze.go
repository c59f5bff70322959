package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// Limits of Analyze.
const (
	MaxSources   = 2_000    // at once
	MaxSourceAll = 32 << 20 // bytes of all sources
	sourceLimit  = 10 * time.Second
	factsSize    = 4 << 20
	opAnalyze    = "analyze scripts"
)

// Facts are what is known of a script without running it.
type Facts struct {
	// Error is set where the source is not Python; nothing else is known then.
	Error   *SyntaxError `json:"error"`
	Imports []string     `json:"imports"` // by their first name, sorted
	Calls   []FactCall   `json:"calls"`   // by line
	// Unresolved are the places from which the script may call more than Calls.
	Unresolved []FactGap `json:"unresolved"`
	// Lists are the lists that functions return as they are written, the longest 100.
	Lists []FactList `json:"lists"`
}

// FactList is a list that a function returns. What is unpacked into it is not counted.
type FactList struct {
	Function string `json:"function"`
	Line     int    `json:"line"`
	Items    int    `json:"items"`
}

// SyntaxError is where and why a source does not parse; both count from 1.
type SyntaxError struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// FactCall is an operation that a script calls.
type FactCall struct {
	Service   string `json:"service"`
	Operation string `json:"operation"` // put_bucket_policy, or PutBucketPolicy behind a resource or waiter
	Line      int    `json:"line"`
}

// FactGap is a place that cannot be followed.
type FactGap struct {
	Line int    `json:"line"`
	What string `json:"what"`
}

// Analyze parses Python sources by name with Python's own parser, in a sandboxed
// process, and finds the AWS operations that they call. No source is run. It needs
// Python 3.9 or newer; waiters and resources are followed where boto3 is there.
func Analyze(ctx context.Context, python string, sources map[string]string) (map[string]Facts, error) {
	size := 0
	for _, text := range sources {
		size += len(text)
	}
	if len(sources) > MaxSources || size > MaxSourceAll {
		return nil, fault.Errorf(fault.Exhausted, opAnalyze, "%d scripts with %d bytes, the limits are %d and %d", len(sources), size, MaxSources, MaxSourceAll)
	}
	if len(sources) == 0 {
		return map[string]Facts{}, nil
	}
	if python == "" {
		python = "python3"
	}
	report, err := probe(ctx, python, "ctypes", "zlib", "_json")
	if err == nil {
		err = report.able()
	}
	if err != nil {
		return nil, err
	}
	z, err := parserZygote(ctx, report)
	if err != nil {
		return nil, err
	}
	defer z.stop()
	a := analysis{zygote: z}
	defer a.end()
	out := make(map[string]Facts, len(sources))
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if out[name], err = a.one(ctx, sources[name]); err != nil {
			return nil, fmt.Errorf("%s %q: %w", opAnalyze, name, err)
		}
	}
	return out, nil
}

// parserZygote starts an interpreter without boto3 at the best level.
func parserZygote(ctx context.Context, report Report) (*zygote, error) {
	var failures []error
	for _, level := range []Level{Namespaces, Landlock} {
		z, err := startZygote(ctx, settings{level: level, report: report, limits: Limits{}.filled(), pool: 1, logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			return z, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", level, err))
	}
	return nil, fault.E(fault.Unavailable, opAnalyze, errors.Join(failures...)).WithHint("run: parry doctor")
}

// analysis keeps the process that parses, until a source breaks it.
type analysis struct {
	zygote *zygote
	child  *child
}

func (a *analysis) one(ctx context.Context, source string) (Facts, error) {
	if len(source) > MaxSource {
		return notParsed("the script has %d bytes, the limit is %d", len(source), MaxSource), nil
	}
	if a.child == nil {
		c, err := a.zygote.take(ctx)
		if err != nil {
			return Facts{}, err
		}
		a.child = c
	}
	limited, cancel := context.WithTimeout(ctx, sourceLimit)
	defer cancel()
	stop := context.AfterFunc(limited, a.child.kill)
	defer stop()
	facts, err := a.ask(source)
	if err == nil {
		return facts, nil
	}
	a.end()
	switch {
	case ctx.Err() != nil:
		return Facts{}, context.Cause(ctx)
	case limited.Err() != nil:
		return notParsed("parsing the script took longer than %s", sourceLimit), nil
	default:
		return notParsed("Python's parser breaks at the script"), nil
	}
}

func notParsed(format string, args ...any) Facts {
	return Facts{Error: &SyntaxError{Line: 1, Column: 1, Message: fmt.Sprintf(format, args...)}}
}

func (a *analysis) ask(source string) (Facts, error) {
	raw, err := encode(map[string]any{"t": "analyze", "source": source})
	if err != nil {
		return Facts{}, err
	}
	if err := writeFrame(a.child.conn, raw, 8*MaxSource); err != nil {
		return Facts{}, err
	}
	if raw, err = readFrame(a.child.conn, factsSize); err != nil {
		return Facts{}, err
	}
	var f Facts
	return f, json.Unmarshal(raw, &f)
}

func (a *analysis) end() {
	if a.child != nil {
		a.child.end()
		a.child = nil
	}
}
