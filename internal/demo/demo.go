package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/test/testenv"
)

// Options says how to run the story.
type Options struct {
	// Program is the parry binary that is shown. Required.
	Program string
	// Dir keeps everything that the story writes; default a new temporary one.
	Dir string
	// Python is the interpreter that has moto; default: found.
	Python string
	// Database is a PostgreSQL URL; default SQLite in Dir.
	Database string
	// Keep leaves the server up after the story, until ctx ends.
	Keep bool
	// Listen is the server's address. Default: a free port on 127.0.0.1.
	Listen string
	// Progress is told of every step.
	Progress Progress
	Log      *slog.Logger
}

// Progress shows a person how far the story is.
type Progress interface {
	Step(n, of int, title string)
	Done(n, of int, title, detail string, took time.Duration)
	Text(text string)
}

// Summary is what the story showed.
type Summary struct {
	OK    bool         `json:"ok"`
	Steps []StepResult `json:"steps"`
	// Figures are measurements made on the way, in milliseconds or counts.
	Figures map[string]int64 `json:"figures"`
	Error   string           `json:"error,omitempty"`
}

// StepResult is one step of the story.
type StepResult struct {
	Title  string `json:"title"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	MS     int64  `json:"ms"`
}

// step is one part of the story. Its text says what it showed.
type step struct {
	title string
	run   func(ctx context.Context) (string, error)
}

// Run runs the story and, with Keep, leaves the server up until ctx ends.
func Run(ctx context.Context, o Options) (Summary, error) {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "parry-demo-")
		if err != nil {
			return Summary{}, fault.E(fault.Unavailable, "make a directory for the demo", err)
		}
		o.Dir = dir
		defer func() { _ = os.RemoveAll(dir) }()
	}
	if o.Progress == nil {
		o.Progress = silent{}
	}
	s := &story{Options: o, summary: Summary{Figures: map[string]int64{}}, clock: service.SystemClock{}}
	defer s.stop()
	err := s.tell(ctx)
	s.summary.OK = err == nil
	if err != nil {
		s.summary.Error = err.Error()
		return s.summary, err
	}
	if o.Keep {
		s.stay(ctx)
	}
	return s.summary, nil
}

func (s *story) tell(ctx context.Context) error {
	steps := s.steps()
	for i, st := range steps {
		s.Progress.Step(i+1, len(steps), st.title)
		began := s.clock.Now()
		detail, err := st.run(ctx)
		took := s.clock.Now().Sub(began)
		result := StepResult{Title: st.title, OK: err == nil, Detail: detail, MS: took.Milliseconds()}
		if err != nil {
			result.Detail = err.Error()
		}
		s.summary.Steps = append(s.summary.Steps, result)
		if err != nil {
			return fmt.Errorf("%s: %w", st.title, err)
		}
		s.Progress.Done(i+1, len(steps), st.title, detail, took)
	}
	return nil
}

// steps is the story, in order.
func (s *story) steps() []step {
	return []step{
		{"Start an AWS Organization (moto behind the wall)", s.startWorld},
		{"Start parry serve", s.startServer},
		{"Import findings with the AWS CLI", s.importFindings},
		{"Raise production by an automation rule", s.checkRaised},
		{"Fix dev automatically and verify it", s.checkDev},
		{"Plan prod, change nothing, wait for approval", s.checkPlan},
		{"Approve the plan; fix and verify prod", s.approveProd},
		{"Judge both fixes with the members' own credentials", s.judgeFixed},
		{"Read the mail and the SNS messages", s.checkMessages},
		{"Undo prod by a plan of its own", s.undoProd},
		{"Judge the undo; the good twins were never touched", s.judgeUndone},
		{"Verify the audit log", s.checkAudit},
	}
}

// story is the state of a run.
type story struct {
	Options
	summary Summary
	clock   service.Clock // a demo measures real time

	env      *testenv.Env
	server   *server
	endpoint string
	config   string
	keys     map[string]key // by person
	findings map[string]findingRef
	// estateSeq is the last entry of the wall's log that made the organization.
	estateSeq int64
	prodRem   string    // the remediation of prod
	began     time.Time // when the findings were sent
}

// key is an access key that Parry issued.
type key struct {
	ID     string `json:"access_key_id"`
	Secret string `json:"secret_access_key"`
}

type findingRef struct {
	ID         string `json:"Id"`
	ProductArn string `json:"ProductArn"`
}

func (s *story) stop() {
	if s.server != nil {
		s.server.stop()
	}
	if s.env != nil {
		s.env.Stop()
	}
}

// startWorld brings up moto, the wall, the SMTP sink and the organization.
func (s *story) startWorld(ctx context.Context) (string, error) {
	dir := filepath.Join(s.Dir, "world")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	env, err := testenv.Start(ctx, testenv.Options{Dir: dir, Python: s.Python, Log: s.Log})
	if err != nil {
		return "", err
	}
	s.env = env
	for _, entry := range env.Wall.Log() {
		s.estateSeq = max(s.estateSeq, entry.Seq)
	}
	e := env.Estate
	return fmt.Sprintf("management %s, security %s, dev %s, prod %s; a public bucket and a private twin in each member",
		e.Management.Account, e.Security.Account, e.Members["dev"].Account, e.Members["prod"].Account), nil
}

// silent shows nothing.
type silent struct{}

func (silent) Step(int, int, string)                        {}
func (silent) Done(int, int, string, string, time.Duration) {}
func (silent) Text(string)                                  {}

// decode reads a command's JSON.
func decode[T any](raw []byte) (T, error) {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("read the command's JSON: %w; it was: %.300s", err, raw)
	}
	return v, nil
}

// Print writes the summary as JSON.
func (s Summary) Print(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}
