package script

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// Runner runs scripts. It is safe for concurrent use, and a service.Service.
type Runner struct {
	cfg   Config
	slots chan struct{}

	mu      sync.Mutex
	stopped bool
	now     *launch // the zygote that serves, or that is coming up; nil = none
	work    sync.WaitGroup
}

// launch is one attempt to bring up a zygote.
type launch struct {
	done   chan struct{} // closed when zygote, status and err are set
	cancel context.CancelFunc
	zygote *zygote
	groups *groups
	status Status
	err    error
}

// Status says at which level scripts run, and why not at a better one.
type Status struct {
	Level    Level    `json:"level"` // "" = scripts are refused
	Sentence string   `json:"sentence"`
	Reasons  []string `json:"reasons,omitempty"` // why better levels cannot be had
	Groups   Groups   `json:"control_groups"`
}

// Groups says whether each script has a control group of its own. It is a bound
// beside others: without it scripts run too.
type Groups struct {
	InForce  bool   `json:"in_force"`
	Sentence string `json:"sentence"`       // what they bound, or why there are none
	Next     string `json:"next,omitempty"` // what to do to have them
}

// New checks cfg and fills defaults. It starts nothing.
func New(cfg Config) (*Runner, error) {
	const op = "make script runner"
	if cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, op, "a clock is required")
	}
	if cfg.Level != "" && !cfg.Level.Valid() {
		return nil, fault.Errorf(fault.Invalid, op, "there is no level %q", cfg.Level)
	}
	if cfg.Level == None && !cfg.AllowUnsandboxed {
		return nil, fault.Errorf(fault.Invalid, op, "level none has to be allowed").WithHint("set scripts.allow_unsandboxed, and know what it means")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.PoolSize <= 0 {
		cfg.PoolSize = 1
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = 4
	}
	cfg.Limits = cfg.Limits.filled()
	cfg.Logger = cfg.Logger.With("component", "script")
	return &Runner{cfg: cfg, slots: make(chan struct{}, cfg.Concurrency)}, nil
}

var _ service.Service = (*Runner)(nil)

// Start begins to bring up the interpreter and returns at once.
func (r *Runner) Start(context.Context) error {
	r.launch()
	return nil
}

// Stop ends every script and the interpreter. What waits gets an error.
func (r *Runner) Stop(ctx context.Context) error {
	r.mu.Lock()
	r.stopped = true
	now := r.now
	r.now = nil
	r.mu.Unlock()
	if now != nil {
		now.cancel()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if now != nil {
			<-now.done
			now.end()
		}
		r.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop scripts: %w", context.Cause(ctx))
	}
}

// Level gives the level in force, bringing up the interpreter if need be; "" when
// scripts are refused.
func (r *Runner) Level() Level { return r.Status().Level }

// Status gives the level in force and its reasons.
func (r *Runner) Status() Status {
	l := r.launch()
	<-l.done
	return l.status
}

// launch gives the zygote that serves, or begins to bring one up.
func (r *Runner) launch() *launch {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		l := &launch{done: make(chan struct{}), cancel: func() {}, err: errStopped()}
		close(l.done)
		return l
	}
	if r.now != nil && !r.now.over() {
		return r.now
	}
	if r.now != nil {
		r.work.Go(r.now.end) // what a dead interpreter left
	}
	ctx, cancel := context.WithTimeout(context.Background(), launchLimit)
	l := &launch{done: make(chan struct{}), cancel: cancel}
	r.now = l
	r.work.Go(func() {
		defer close(l.done)
		defer cancel()
		l.err = r.bringUp(ctx, l)
	})
	return l
}

// over reports whether l came to an end: it failed, or its zygote has died.
func (l *launch) over() bool {
	select {
	case <-l.done:
	default:
		return false
	}
	return l.err != nil || l.zygote.dead()
}

// end ends what was launched, and removes what it left.
func (l *launch) end() {
	if l.zygote != nil {
		l.zygote.stop()
	}
	l.groups.close()
}

// launchLimit is how long the interpreter may take to come up.
const launchLimit = 60 * time.Second

func errStopped() error {
	return fault.Errorf(fault.Unavailable, opRun, "the script runner has been stopped")
}

// bringUp tries the levels from the best down, and sets what l holds.
func (r *Runner) bringUp(ctx context.Context, l *launch) error {
	l.status.Sentence = Level("").Sentence()
	report, err := Find(ctx, r.cfg.Python)
	if err != nil {
		l.status.Reasons = []string{err.Error()}
		return err
	}
	levels := []Level{Namespaces, Landlock}
	if r.cfg.AllowUnsandboxed {
		levels = append(levels, None)
	}
	if r.cfg.Level != "" {
		levels = []Level{r.cfg.Level}
	}
	l.groups, err = openGroups(r.cfg.Limits)
	l.status.Groups = groupsStatus(l.groups, err)
	var failures []error
	for _, level := range levels {
		if err = r.start(ctx, l, level, report); err == nil {
			l.status.Level, l.status.Sentence = level, level.Sentence()
			r.announce(l.status)
			return nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", level, err))
		l.status.Reasons = append(l.status.Reasons, fmt.Sprintf("%s: %v", level, err))
	}
	l.groups.close()
	l.groups = nil
	return fault.E(fault.Unavailable, "start the sandbox of scripts", errors.Join(failures...)).WithHint("run: parry doctor")
}

// start starts the interpreter at a level. Where it is the control group that keeps
// a script's process from coming up, there are none: they must not cost the sandbox.
func (r *Runner) start(ctx context.Context, l *launch, level Level, report Report) error {
	s := settings{level: level, report: report, limits: r.cfg.Limits, pool: r.cfg.PoolSize, boto3: true, groups: l.groups, logger: r.cfg.Logger}
	z, err := startZygote(ctx, s)
	if err != nil && s.groups != nil {
		s.groups = nil
		without, failed := startZygote(ctx, s)
		if failed != nil {
			return err
		}
		l.groups.close()
		l.groups, l.status.Groups = nil, groupsStatus(nil, err)
		z, err = without, nil
	}
	l.zygote = z
	return err
}

func groupsStatus(g *groups, err error) Groups {
	if err != nil {
		return Groups{
			Sentence: "scripts have no control groups of their own; address space, threads, files and time are limited all the same: " + err.Error(),
			Next:     fault.HintOf(err),
		}
	}
	return Groups{InForce: true, Sentence: g.sentence()}
}

func (r *Runner) announce(s Status) {
	if s.Level == None {
		r.cfg.Logger.Error("scripts run without a sandbox, as scripts.allow_unsandboxed says", "level", s.Level, "reasons", s.Reasons)
		return
	}
	r.cfg.Logger.Info("scripts can run", "level", s.Level, "reasons", s.Reasons, "control_groups", s.Groups.InForce, "control_groups_are", s.Groups.Sentence)
}

// child gives a child that stands ready.
func (r *Runner) child(ctx context.Context) (*child, error) {
	l := r.launch()
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the interpreter: %w", context.Cause(ctx))
	}
	if l.err != nil {
		return nil, l.err
	}
	return l.zygote.take(ctx)
}
