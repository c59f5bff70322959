package script

import (
	"context"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// Limits bound one execution. Zero values take the defaults.
type Limits struct {
	Memory  int64         // bytes beyond what the interpreter needs itself; default 512 MiB, at least 64 MiB
	Temp    int64         // bytes of the script's own folder; default 64 MiB
	Output  int           // bytes kept of standard output and error each; default 256 KiB
	Payload int           // bytes of the return value as JSON; default 100 KiB, as AWS has it
	Request int           // bytes of one message from the script; default 8 MiB
	Reply   int           // bytes of one message to the script; default 32 MiB
	Calls   int           // AWS calls; default 5,000
	Threads int           // default 64
	Files   int           // open files; default 128
	Timeout time.Duration // longest wall time that a job may ask for; default 10 minutes, as AWS has it
}

// Limits of what a job itself may hold.
const (
	MaxSource      = 1 << 20  // bytes of inline code
	MaxAttachments = 20 << 20 // bytes of all attachments together
	MaxFiles       = 100      // attachments
)

func (l Limits) filled() Limits {
	fill(&l.Memory, 512<<20)
	l.Memory = max(l.Memory, 64<<20)
	fill(&l.Temp, 64<<20)
	fill(&l.Output, 256<<10)
	fill(&l.Payload, 100<<10)
	fill(&l.Request, 8<<20)
	fill(&l.Reply, 32<<20)
	fill(&l.Calls, 5_000)
	fill(&l.Threads, 64)
	fill(&l.Files, 128)
	fill(&l.Timeout, 10*time.Minute)
	return l
}

func fill[T int | int64 | time.Duration](at *T, value T) {
	if *at <= 0 {
		*at = value
	}
}

// Config is what a Runner is made of.
type Config struct {
	// Python is the interpreter, 3.9 or newer, with boto3. Default: see Find.
	Python string
	// Level forces a level; "" takes the best that the kernel grants.
	Level  Level
	Limits Limits
	Clock  service.Clock // required
	Logger *slog.Logger  // default: discard
	// AllowUnsandboxed runs scripts where neither namespaces nor Landlock can be had.
	AllowUnsandboxed bool
	// PoolSize is how many children stand ready. Default 1.
	PoolSize int
	// Concurrency is how many scripts run at once; others wait. Default 4.
	Concurrency int
}

// Job is one attempt of one script.
type Job struct {
	Execution string
	Label     string // of the step
	Attempt   int
	Handler   string // "name", or "file.name" where the code is an attachment
	Source    string // inline code; "" where the code is an attachment
	// Attachments are files on the script's path, by name.
	Attachments map[string][]byte
	Payload     any // a map, a text or nil; anything that JSON has
	Account     string
	Region      string
	Partition   string
	// Planning takes the waiting out: sleeps return at once, and a waiter asks once.
	Planning bool
	Timeout  time.Duration // 0 = Limits.Timeout
	// Call answers one AWS call. Calls of one job come one after the other.
	Call func(ctx context.Context, c apimodel.Call) (apimodel.Reply, error)
	// Entered, where set, is told when the handler is about to be called.
	Entered func()
}

// Result is how a script ended.
type Result struct {
	Payload        any // what the handler returned, in JSON types
	Stdout, Stderr string
	Calls          int
	Failure        *Failure
}

// The names of limits in Failure.Limit.
const (
	LimitTime     = "time"
	LimitMemory   = "memory"
	LimitOutput   = "output"
	LimitThreads  = "threads"
	LimitTemp     = "temp" // the script's own folder
	LimitPayload  = "payload"
	LimitResult   = "result" // the return value is not JSON
	LimitCalls    = "calls"
	LimitProtocol = "protocol" // the process said what no script of boto3's says
	LimitCrash    = "crash"    // the process ended without a result
)

// Failure is why a script gave no result.
type Failure struct {
	Type      string // the exception's class: "botocore.exceptions.ClientError"
	Message   string
	Traceback string // of the script's own frames
	Limit     string // "" for an exception
	// Stop is what Call answered, where that ends the execution whatever the script
	// made of it.
	Stop error
}

const opRun = "run script"

func (j *Job) validate() error {
	size := 0
	for name, data := range j.Attachments {
		if !plainName(name) {
			return fault.Errorf(fault.Invalid, opRun, "attachment %q has a name that is no file name", name)
		}
		size += len(data)
	}
	switch {
	case j.Call == nil:
		return fault.Errorf(fault.Internal, opRun, "a job needs somebody who answers its calls")
	case j.Handler == "" || len(j.Handler) > 256:
		return fault.Errorf(fault.Invalid, opRun, "the step's Handler is empty or longer than 256 characters").WithHint("name the function: Handler: script_handler")
	case len(j.Source) > MaxSource:
		return fault.Errorf(fault.Exhausted, opRun, "the script has %d bytes, the limit is %d", len(j.Source), MaxSource).WithHint("move code into an attachment")
	case j.Source == "" && len(j.Attachments) == 0:
		return fault.Errorf(fault.Invalid, opRun, "there is neither inline code nor an attachment").WithHint("run: parry runbook check")
	case len(j.Attachments) > MaxFiles || size > MaxAttachments:
		return fault.Errorf(fault.Exhausted, opRun, "%d attachments with %d bytes, the limits are %d and %d", len(j.Attachments), size, MaxFiles, MaxAttachments)
	}
	return nil
}

// plainName refuses what is no name of a file in one folder.
func plainName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 200 {
		return false
	}
	for _, r := range name {
		if r < 0x20 || r == '/' || r == '\\' || r == 0x7f {
			return false
		}
	}
	return true
}
