package script_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/script"
	"github.com/parry-security/parry/internal/service"
)

// pythonPath gives the interpreter with boto3, or skips.
func pythonPath(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("PARRY_PYTHON"); p != "" {
		return p
	}
	p, err := filepath.Abs(filepath.Join("..", "..", ".venv", "bin", "python"))
	if err == nil {
		if _, err = os.Stat(p); err == nil {
			return p
		}
	}
	t.Skip("no Python with boto3: run make venv, or set PARRY_PYTHON")
	return ""
}

var runners struct {
	sync.Mutex
	at map[script.Level]*script.Runner
}

// at gives the runner at a level; the tests share one, as executions do.
func at(t testing.TB, level script.Level) *script.Runner {
	t.Helper()
	python := pythonPath(t)
	runners.Lock()
	defer runners.Unlock()
	if r := runners.at[level]; r != nil {
		return r
	}
	r := newRunner(t, script.Config{Python: python, Level: level, AllowUnsandboxed: level == script.None})
	if runners.at == nil {
		runners.at = map[script.Level]*script.Runner{}
	}
	runners.at[level] = r
	return r
}

func stopRunners() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, r := range runners.at {
		_ = r.Stop(ctx)
	}
}

func newRunner(t testing.TB, cfg script.Config) *script.Runner {
	t.Helper()
	cfg.Clock = service.SystemClock{}
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r, err := script.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// levels runs a test at both levels that shut in.
func levels(t *testing.T, test func(t *testing.T, r *script.Runner)) {
	t.Parallel()
	for _, level := range []script.Level{script.Namespaces, script.Landlock} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			r := at(t, level)
			if s := r.Status(); s.Level != level {
				t.Fatalf("this machine does not grant level %s: %v", level, s.Reasons)
			}
			test(t, r)
		})
	}
}

func nobody(context.Context, apimodel.Call) (apimodel.Reply, error) {
	return apimodel.Reply{}, errors.New("nobody answers calls here")
}

func run(t *testing.T, r *script.Runner, job script.Job) script.Result {
	t.Helper()
	if job.Handler == "" {
		job.Handler = "handler"
	}
	if job.Call == nil {
		job.Call = nobody
	}
	if job.Region == "" {
		job.Region = "eu-west-1"
	}
	if job.Timeout == 0 {
		job.Timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	result, err := r.Run(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func value(t *testing.T, r script.Result) any {
	t.Helper()
	if r.Failure != nil {
		t.Fatalf("failure %+v\nstdout: %s\nstderr: %s", *r.Failure, r.Stdout, r.Stderr)
	}
	return r.Payload
}

func TestHandlerIsCalledWithEventsAndContext(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		got := value(t, run(t, r, script.Job{Execution: "exec-1", Payload: map[string]any{"a": 1, "b": []any{"x", nil, 1.5}}, Source: `
import sys
def handler(events, context):
    print("hello")
    print("oops", file=sys.stderr)
    return {"events": events, "execution": context["automation:EXECUTION_ID"], "n": 2**40, "f": 0.5}
`}))
		want := map[string]any{
			"events": map[string]any{"a": int64(1), "b": []any{"x", nil, 1.5}}, "execution": "exec-1", "n": int64(1 << 40), "f": 0.5,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
	})
}

func TestExceptionGivesTypeMessageAndTheScriptsFrames(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		got := run(t, r, script.Job{Source: "def handler(events, context):\n    return inner()\n\ndef inner():\n    raise ValueError('no such thing')\n"})
		f := got.Failure
		if f == nil || f.Type != "ValueError" || f.Message != "no such thing" {
			t.Fatalf("failure %+v", f)
		}
		if !strings.Contains(f.Traceback, `"script.py", line 5, in inner`) || strings.Contains(f.Traceback, "runner") {
			t.Errorf("traceback:\n%s", f.Traceback)
		}
	})
}

func TestCallsAreAnswered(t *testing.T) {
	levels(t, func(t *testing.T, r *script.Runner) {
		var calls []apimodel.Call
		got := value(t, run(t, r, script.Job{Account: "111122223333", Call: func(_ context.Context, c apimodel.Call) (apimodel.Reply, error) {
			calls = append(calls, c)
			if c.Operation == "GetBucketPolicy" {
				return apimodel.Reply{}, &apimodel.APIError{Service: "s3", Operation: c.Operation, Code: "NoSuchBucketPolicy", Message: "none", HTTPStatus: 404, RequestID: "r1"}
			}
			return apimodel.Reply{Output: map[string]any{"ResponseMetadata": map[string]any{"HTTPStatusCode": int64(200)}, "Reservations": []any{}}}, nil
		}, Source: `
import boto3
from botocore.exceptions import ClientError
def handler(events, context):
    ec2 = boto3.client("ec2")
    r = ec2.describe_instances(InstanceIds=["i-1"])
    s3 = boto3.client("s3", region_name="us-east-1")
    try:
        s3.get_bucket_policy(Bucket="b")
    except ClientError as e:
        return [r["Reservations"], e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"], str(e)]
`}))
		want := []any{[]any{}, "NoSuchBucketPolicy", int64(404), "An error occurred (NoSuchBucketPolicy) when calling the GetBucketPolicy operation: none"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
		wantCalls := []apimodel.Call{
			{Service: "ec2", Operation: "DescribeInstances", Account: "111122223333", Region: "eu-west-1", Input: map[string]any{"InstanceIds": []any{"i-1"}}},
			{Service: "s3", Operation: "GetBucketPolicy", Account: "111122223333", Region: "us-east-1", Input: map[string]any{"Bucket": "b"}},
		}
		if diff := cmp.Diff(wantCalls, calls); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}
