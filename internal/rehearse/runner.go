package rehearse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
)

// World is an emulated AWS.
type World interface {
	// Call makes a call with the keys of the account that c names.
	Call(ctx context.Context, c apimodel.Call) (apimodel.Reply, error)
	// Reset forgets everything that was made.
	Reset(ctx context.Context) error
}

// Engine runs documents in the world.
type Engine interface {
	// Run runs a document to its end and gives how it ended. An error is the
	// engine's, not the document's.
	Run(ctx context.Context, r Request) (Result, error)
}

// Request is what to run.
type Request struct {
	Document    Document
	Children    []Document // that aws:executeAutomation may start
	Attachments string     // folder or zip; "" = none
	Account     string
	Region      string
	Parameters  map[string]any
}

// Document is a document's name and text.
type Document struct{ Name, Content string }

// Result is how a run ended.
type Result struct {
	Status  string
	Failure string
	Outputs map[string][]string
	// Changes are the changes that were made, in order; with answers every call.
	Changes []apimodel.Call
	// Open says why the plan could not be made to the end; "" = it could.
	Open string
}

// Config is what a Runner needs.
type Config struct {
	// World and Engine are needed by cases without answers.
	World  World
	Engine Engine
	// Folders are where documents are looked for that are not beside test.yaml.
	Folders []string
	Clock   service.Clock // default service.SystemClock
	IDs     service.IDs   // default service.RandomIDs
	// Timeout bounds one case. Default 5 minutes.
	Timeout time.Duration
	// Done is told of every case that ended; nil = nobody.
	Done func(CaseReport)
}

// Runner runs the cases of test.yaml files.
type Runner struct{ cfg Config }

// New gives a runner.
func New(cfg Config) *Runner {
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.IDs == nil {
		cfg.IDs = service.RandomIDs{}
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Minute
	}
	if cfg.Done == nil {
		cfg.Done = func(CaseReport) {}
	}
	return &Runner{cfg}
}

// CaseReport is how one case went.
type CaseReport struct {
	Dir      string   `json:"dir"`
	Document string   `json:"document"`
	Case     string   `json:"case,omitempty"`
	Passed   bool     `json:"passed"`
	Status   string   `json:"status,omitempty"` // how the run ended
	Problems []string `json:"problems,omitempty"`
	// Open says why the plan of the run could not be made to the end.
	Open string `json:"open,omitempty"`
	MS   int64  `json:"ms"`
}

// subject is a test.yaml with what it is about.
type subject struct {
	dir      string
	suite    Suite
	document Document
	parsed   *runbook.Document
	children []Document
}

// Run runs every case of the test.yaml in dir, one after the other: cases of
// one world would meet each other's resources. An error says that no case could
// be run; a case that was otherwise than expected is in the reports.
func (r *Runner) Run(ctx context.Context, dir string) ([]CaseReport, error) {
	s, err := r.load(dir)
	if err != nil {
		return nil, err
	}
	reports := make([]CaseReport, 0, len(s.suite.Cases))
	for _, c := range s.suite.Cases {
		if err := ctx.Err(); err != nil {
			return reports, context.Cause(ctx)
		}
		began := r.cfg.Clock.Now()
		report := r.one(ctx, s, c)
		report.Dir, report.Document, report.Case = dir, s.document.Name, c.Name
		report.Passed = len(report.Problems) == 0
		report.MS = r.cfg.Clock.Now().Sub(began).Milliseconds()
		r.cfg.Done(report)
		reports = append(reports, report)
	}
	return reports, nil
}

// NeedsWorld reports whether any case of the test.yaml in dir needs an emulator.
func NeedsWorld(dir string) (bool, error) {
	suite, err := readSuite(dir)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(suite.Cases, func(c Case) bool { return c.Answers == nil }), nil
}

func readSuite(dir string) (Suite, error) {
	raw, err := readLimited(filepath.Join(dir, "test.yaml"), MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return Suite{}, fault.Errorf(fault.NotFound, "read "+dir, "there is no such folder")
		}
		return Suite{}, fault.Errorf(fault.NotFound, "read "+dir, "it has no test.yaml").WithHint("docs/runbook-test.md describes the file")
	}
	if err != nil {
		return Suite{}, err
	}
	suite, err := Parse(raw)
	if err != nil {
		return suite, fmt.Errorf("%s: %w", filepath.Join(dir, "test.yaml"), err)
	}
	return suite, nil
}

// load reads the test.yaml in dir and the documents that it names.
func (r *Runner) load(dir string) (subject, error) {
	suite, err := readSuite(dir)
	if err != nil {
		return subject{}, err
	}
	s := subject{dir: dir, suite: suite}
	file := suite.Document
	if file == "" {
		file = "runbook.yaml"
		if _, err := os.Stat(filepath.Join(dir, file)); errors.Is(err, fs.ErrNotExist) {
			file = "runbook.json"
		}
	}
	name := suite.Runbook
	if name == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return s, err
		}
		name = filepath.Base(abs)
	}
	if s.document, s.parsed, err = r.read(dir, name, file); err != nil {
		return s, err
	}
	for name, file := range suite.Documents {
		child, _, err := r.read(dir, name, file)
		if err != nil {
			return s, err
		}
		s.children = append(s.children, child)
	}
	slices.SortFunc(s.children, func(a, b Document) int { return compareText(a.Name, b.Name) })
	return s, nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// read finds a document's file and parses it.
func (r *Runner) read(dir, name, file string) (Document, *runbook.Document, error) {
	for _, folder := range append([]string{dir}, r.cfg.Folders...) {
		raw, err := readLimited(filepath.Join(folder, file), runbook.MaxSize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Document{}, nil, err
		}
		doc, err := runbook.Parse(raw)
		if err != nil {
			return Document{}, nil, fmt.Errorf("%s: %w", filepath.Join(folder, file), err)
		}
		return Document{Name: name, Content: string(raw)}, doc, nil
	}
	return Document{}, nil, fault.Errorf(fault.NotFound, "find document "+file, "it is neither in %s nor in a folder of --documents", dir).
		WithHint("add --documents DIR with the folder that has it")
}

func readLimited(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fault.Errorf(fault.Invalid, "read "+name, "it has %d bytes, the limit is %d", info.Size(), limit)
	}
	return os.ReadFile(filepath.Clean(name))
}
