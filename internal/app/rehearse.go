package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// maxPlanDocuments bounds the documents of a plan, and maxPlanDepth how deep they
// start each other.
const (
	maxPlanDocuments = 50
	maxPlanDepth     = 10
)

// Rehearse interprets a document that somebody started, its children in line, with
// every change recorded. It answers plan.Rehearser.
func (i interpreter) Rehearse(ctx context.Context, r plan.Rehearsal) (plan.Rehearsed, error) {
	seen := &rehearsal{runs: i.runs, planner: r.Planner, root: r.Run, documents: map[string]remediation.Runbook{}, stored: map[string]any{}, targets: map[string]json.RawMessage{}}
	run := automation.Run{
		Document: r.Document, Parameters: r.Parameters, Caller: storedReader{r.Planner, seen.stored}, ExecutionID: r.Run.Execution, Planning: true,
		Account: r.Run.Account, Region: r.Run.Region, Partition: i.partition, Role: r.Role, Unknown: r.Planner.IsUnknown, Children: seen,
		Scripts: i.runs.scripts, Attachments: attachments{i.runs.store, nil}, Webhooks: i.runs.webhooks, Date: r.Where.CreatedAt,
	}
	if r.Run.OnTargets() {
		var err error
		if run.Document, run.Parameters, err = fanOf(r.Run, r.Document); err != nil {
			return plan.Rehearsed{}, err
		}
	}
	steps := plannedSteps{}
	run.Observer = steps
	out, err := i.engine.Run(ctx, run)
	if err != nil {
		return plan.Rehearsed{}, err
	}
	found := plan.Rehearsed{Stored: seen.stored, Targets: seen.targets}
	if found.Open, err = planned(out); err != nil {
		rows, wrong := steps.rows(r.Planner.Calls(), r.Planner.IsUnknown)
		if wrong != nil {
			return found, wrong
		}
		found.Steps = rows
		return found, err
	}
	if o, ok := r.Planner.(opener); ok && found.Open == "" {
		// A script may go on without what planning could not tell it.
		found.Open = o.Open()
	}
	if err := i.beyond(ctx, r, run, out, seen, &found); err != nil {
		return found, err
	}
	found.Documents = seen.pinned()
	found.Attachments, err = seen.files(append([]*runbook.Document{r.Document}, seen.parsed...))
	return found, err
}

// opener is a planner that knows of calls that it could not tell.
type opener interface{ Open() string }

// fanOf gives the document that starts run's document once for each target.
func fanOf(run *remediation.Run, doc *runbook.Document) (*runbook.Document, map[string]any, error) {
	return automation.Fan(doc, run.Document.Name, run.Version, run.Parameters, automation.FanSpec{
		TargetParameterName: run.TargetParameterName, Targets: run.Targets, TargetMaps: run.TargetMaps, Locations: run.TargetLocations,
		MaxConcurrency: run.MaxConcurrency, MaxErrors: run.MaxErrors, Waves: run.Waves,
	})
}

// rehearsal gives documents and targets while a run is planned, and notes them.
type rehearsal struct {
	runs      *runs
	planner   plan.Planner
	root      *remediation.Run
	documents map[string]remediation.Runbook // by name and version, as a step names them
	order     []string
	parsed    []*runbook.Document
	stored    map[string]any
	targets   map[string]json.RawMessage
}

// Document gives a document and pins it.
func (r *rehearsal) Document(ctx context.Context, name, version string) (*runbook.Document, error) {
	key := name + "\x00" + version
	if d, ok := r.documents[key]; ok {
		return runbook.Parse([]byte(d.Content))
	}
	if len(r.order) >= maxPlanDocuments {
		return nil, fault.Errorf(fault.Exhausted, "plan run", "it starts more than %d documents", maxPlanDocuments)
	}
	var found remediation.Runbook
	var err error
	if name == r.root.Document.Name && (version == "" || version == r.root.Version) {
		// A run of a file, or on targets, starts itself.
		content, err := r.runs.store.Blob(ctx, r.root.Document.Revision)
		if err != nil {
			return nil, err
		}
		found = remediation.Runbook{Revision: r.root.Document.Revision, Content: string(content)}
	} else if found, err = r.runs.documents.Resolve(ctx, name, version); err != nil {
		return nil, err
	}
	doc, err := runbook.Parse([]byte(found.Content))
	if err != nil {
		return nil, err
	}
	found.Name, found.Version = name, version
	r.documents[key], r.order, r.parsed = found, append(r.order, key), append(r.parsed, doc)
	return doc, nil
}

// pinned lists the documents in the order in which they were first met.
func (r *rehearsal) pinned() []remediation.Runbook {
	out := make([]remediation.Runbook, 0, len(r.order))
	for _, key := range r.order {
		out = append(out, r.documents[key])
	}
	return out
}

// files pins the attachments of the documents.
func (r *rehearsal) files(docs []*runbook.Document) ([]remediation.Attachment, error) {
	out := []remediation.Attachment{}
	seen := map[string]bool{}
	for _, doc := range docs {
		for _, f := range doc.Files {
			if key := doc.Revision + f.Name; !seen[key] {
				seen[key] = true
				out = append(out, remediation.Attachment{Document: doc.Revision, Name: f.Name, SHA256: f.SHA256})
			}
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// Targets gives what a run is made on.
func (r *rehearsal) Targets(ctx context.Context, q automation.TargetQuery) ([]automation.Target, error) {
	if raw, ok := r.targets[hashOf(q)]; ok { // asked again, it is the same for the plan
		var found []automation.Target
		if err := json.Unmarshal(raw, &found); err != nil {
			return nil, fmt.Errorf("read the targets: %w", err)
		}
		return found, nil
	}
	found, err := r.runs.targets.resolve(ctx, r.planner, q)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(found)
	if err != nil {
		return nil, fmt.Errorf("keep the targets: %w", err)
	}
	r.targets[hashOf(q)] = raw
	return found, nil
}

// Start is not called while planning.
func (r *rehearsal) Start(context.Context, []automation.Child) error { return errRehearsal() }

// Children is not called while planning.
func (r *rehearsal) Children(context.Context, []string) ([]automation.ChildState, error) {
	return nil, errRehearsal()
}

// Cancel is not called while planning.
func (r *rehearsal) Cancel(context.Context, []string) error { return errRehearsal() }

func errRehearsal() error {
	return fault.Errorf(fault.Internal, "plan run", "a plan starts no children")
}

// storedReader notes what Parameter Store answers while a run is planned: the
// children of the run take the same values when it is applied.
type storedReader struct {
	plan.Planner
	stored map[string]any
}

// Call makes the call.
func (s storedReader) Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error) {
	reply, err := s.Planner.Call(ctx, step, c)
	if err != nil || c.Operation != "GetParameters" || !strings.HasSuffix(step, "/") {
		return reply, err
	}
	list, _ := reply.Output["Parameters"].([]any)
	for _, item := range list {
		if p, ok := item.(map[string]any); ok {
			name, _ := p["Name"].(string)
			s.stored[plan.StoredKey(c.Account, c.Region, name)] = p["Value"]
		}
	}
	return reply, nil
}

// fanned gives what a child or a run on targets interprets instead of its document.
func fanned(doc *runbook.Document, name, version string, given map[string]any, raw []byte) (*runbook.Document, map[string]any, error) {
	var spec automation.FanSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return nil, nil, fmt.Errorf("read the targets of the execution: %w", err)
	}
	return automation.Fan(doc, name, version, given, spec)
}
