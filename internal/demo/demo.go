package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
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
	// Kill ends the server by SIGKILL in the middle of a fix, and starts it again.
	Kill bool
	// Pause, if set, is called where the world is made and nothing is fixed yet, and
	// again at the end, with what another program needs to look at it.
	Pause func(ctx context.Context, w World) error
	// Listen is the server's address. Default: a free port on 127.0.0.1.
	Listen string
	// Progress is told of every step.
	Progress Progress
	Log      *slog.Logger
}

// World is what a judge from outside needs.
type World struct {
	Fixed     bool // after the fixes
	Endpoint  string
	Estate    string // file
	Resources string // file
	Env       *testenv.Env
}

// Progress shows a person how far the story is.
type Progress interface {
	Step(n, of int, title string)
	Done(n, of int, title, detail string, took time.Duration)
	Text(text string)
}

// Summary is what the story showed.
type Summary struct {
	OK           bool         `json:"ok"`
	Steps        []StepResult `json:"steps"`
	Remediations []Line       `json:"remediations"`
	// Fixed are the resources that the judge found fixed, before one fix was taken back.
	Fixed []string `json:"fixed"`
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
	began := s.clock.Now()
	for i, st := range steps {
		s.Progress.Step(i+1, len(steps), st.title)
		start := s.clock.Now()
		detail, err := st.run(ctx)
		took := s.clock.Now().Sub(start)
		result := StepResult{Title: st.title, OK: err == nil, Detail: detail, MS: took.Milliseconds()}
		if err != nil {
			err = s.withServerEnd(err)
			result.Detail = err.Error()
		}
		s.summary.Steps = append(s.summary.Steps, result)
		if err != nil {
			return fmt.Errorf("%s: %w", st.title, err)
		}
		s.Progress.Done(i+1, len(steps), st.title, detail, took)
		s.showTexts()
	}
	s.summary.Figures["total_ms"] = s.clock.Now().Sub(began).Milliseconds()
	return nil
}

// steps is the story, in order.
func (s *story) steps() []step {
	return []step{
		{"Start an AWS Organization, with things that are wrong in it", s.startWorld},
		{"Start parry serve", s.startServer},
		{"Accept a risk, and freeze changes", s.acceptAndFreeze},
		{"Findings arrive by Security Hub's API and by a queue", s.findingsArrive},
		{"Rules, the exception and priorities sort them", s.sorted},
		{"Everything is planned; the stop switch holds what is queued", s.frozen},
		{"Judge: nothing has been changed", s.judgeNothing},
		{"dev: fix the canary account, then the other one", s.canaryFirst},
		{"prod: people approve; AWS denies one of the fixes", s.approveProd},
		{"By hand: parry finding remediate, and a custom action", s.byHand},
		{"Judge: what should be fixed is, and nothing else", s.judgeFixed},
		{"Mail and SNS told of it", s.checkMessages},
		{"Take one fix back", s.undo},
		{"Judge: it is as it was; no good twin was ever written to", s.judgeUndone},
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
	// resources and findings have the keys of test/py/controls.py, such as
	// web-dev/us-east-1/S3.2/bad.
	resources     map[string]resource
	resourcesFile string
	findings      map[string]findingRef
	keyOf         map[string]string // of a finding, by its id
	exception     string            // its id
	// worldSeq is the last entry of the wall's log that made the organization.
	worldSeq int64
	texts    []string // to show below the step
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

// resource is what test/py/controls.py made.
type resource struct {
	Control string `json:"control"`
	Member  string `json:"member"`
	Account string `json:"account"`
	Region  string `json:"region"`
	Good    bool   `json:"good"`
	ID      string `json:"id"`
}

func (s *story) stop() {
	if s.server != nil {
		s.server.stop()
	}
	if s.env != nil {
		s.env.Stop()
	}
}

// show prints a command and its output below the step that ran it.
func (s *story) show(command string, out []byte) {
	s.texts = append(s.texts, "$ "+command+"\n"+string(out))
}

func (s *story) showTexts() {
	for _, t := range s.texts {
		s.Progress.Text(t)
	}
	s.texts = nil
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
