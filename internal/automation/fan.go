package automation

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// FanStep is the name of the one step of a run on targets.
const FanStep = "executeAutomation"

// FanSpec is what StartAutomationExecution says of targets, in AWS's own shapes.
type FanSpec struct {
	TargetParameterName string             `json:"target_parameter_name,omitempty"`
	Targets             []map[string]any   `json:"targets,omitempty"`
	TargetMaps          []map[string]any   `json:"target_maps,omitempty"`
	Locations           []map[string]any   `json:"locations,omitempty"`
	MaxConcurrency      string             `json:"max_concurrency,omitempty"`
	MaxErrors           string             `json:"max_errors,omitempty"`
	Waves               *remediation.Waves `json:"waves,omitempty"`
}

// Empty reports whether there are no targets: the document runs by itself.
func (f FanSpec) Empty() bool {
	return len(f.Targets) == 0 && len(f.TargetMaps) == 0 && len(f.Locations) == 0
}

// The parameters in which a run on targets carries them: text of people must not
// stand in a step's inputs, where it would be read as a template.
const (
	fanTargets    = "ParryTargets"
	fanTargetMaps = "ParryTargetMaps"
	fanLocations  = "ParryTargetLocations"
)

// documentName is a document's name or ARN, with an optional version.
var documentName = regexp.MustCompile(`^[a-zA-Z0-9_\-.:/]{3,256}$`)

// Fan gives the document of a run of doc on targets: one aws:executeAutomation
// step with rate control, which starts name in version. Given are the parameters
// of the run; the second result is what the new document is run with.
func Fan(doc *runbook.Document, name, version string, given map[string]any, spec FanSpec) (*runbook.Document, map[string]any, error) {
	bad := func(format string, args ...any) (*runbook.Document, map[string]any, error) {
		return nil, nil, fault.Errorf(fault.Invalid, "run on targets", format, args...)
	}
	if !documentName.MatchString(name) || version != "" && !documentName.MatchString("v"+version+"v") {
		return bad("%.100q in version %.20q is no name of a document", name, version)
	}
	if spec.Empty() {
		return bad("there are no targets")
	}
	if spec.TargetParameterName != "" {
		if _, ok := doc.Parameter(spec.TargetParameterName); !ok {
			return bad("the document has no parameter %.100q to put the targets in", spec.TargetParameterName)
		}
	}
	parameters, runtime := map[string]any{}, map[string]any{}
	for name := range given {
		p, ok := doc.Parameter(name)
		if !ok {
			return bad("parameter %.100q is not declared by the document", name)
		}
		if name == spec.TargetParameterName && len(spec.Targets) > 0 {
			continue // the targets give it
		}
		parameters[name] = map[string]any{"type": string(p.Type)}
		runtime[name] = "{{ " + name + " }}"
	}
	inputs := map[string]any{"DocumentName": name, "RuntimeParameters": runtime}
	texts := map[string]string{
		"DocumentVersion": version, "TargetParameterName": spec.TargetParameterName, "MaxConcurrency": spec.MaxConcurrency, "MaxErrors": spec.MaxErrors,
	}
	for key, text := range texts {
		if text != "" {
			inputs[key] = text
		}
	}
	for key, list := range map[string][]map[string]any{fanTargets: spec.Targets, fanTargetMaps: spec.TargetMaps, fanLocations: spec.Locations} {
		if len(list) > 0 {
			parameters[key] = map[string]any{"type": string(runbook.TypeMapList), "default": list}
			inputs[strings.TrimPrefix(key, "Parry")] = "{{ " + key + " }}"
		}
	}
	if w := spec.Waves; w != nil {
		inputs["Waves"] = map[string]any{"Canary": w.Canary, "Growth": w.Growth}
	}
	out, err := fanDocument(name, parameters, inputs)
	if err != nil {
		return nil, nil, err
	}
	kept := map[string]any{}
	for name := range runtime {
		kept[name] = given[name]
	}
	resolved, err := out.ResolveParameters(kept, nil)
	return out, resolved, err
}

func fanDocument(name string, parameters, inputs map[string]any) (*runbook.Document, error) {
	raw, err := json.Marshal(map[string]any{
		"schemaVersion": "0.3", "description": "Runs " + name + " on its targets.", "parameters": parameters,
		"mainSteps": []any{map[string]any{"name": FanStep, "action": runbook.ActionAutomation, "isEnd": true, "inputs": inputs}},
	})
	if err != nil {
		return nil, fault.E(fault.Internal, "run on targets", err)
	}
	return runbook.Parse(raw)
}

// Text gives the document of Fan as it is pinned in a plan.
func Text(doc *runbook.Document) ([]byte, error) { return doc.JSON() }

// within gives the targets inside one location; nil = the location is the target.
func (f FanSpec) within(location map[string]any) *FanSpec {
	inner := FanSpec{TargetParameterName: f.TargetParameterName, Targets: f.Targets, TargetMaps: f.TargetMaps, MaxConcurrency: f.MaxConcurrency, MaxErrors: f.MaxErrors}
	if own := mapsOf(location["Targets"]); len(own) > 0 {
		inner.Targets, inner.TargetMaps = own, nil
	}
	if text, ok := location["TargetsMaxConcurrency"].(string); ok {
		inner.MaxConcurrency = text
	}
	if text, ok := location["TargetsMaxErrors"].(string); ok {
		inner.MaxErrors = text
	}
	if inner.Empty() {
		return nil
	}
	return &inner
}

func mapsOf(v any) []map[string]any {
	list, _ := runbook.Normalize(v).([]any)
	var out []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// parseChildStep reads the inputs of aws:executeAutomation.
func parseChildStep(inputs map[string]any) (childStep, error) {
	ask := childStep{parameters: map[string]any{}}
	text := func(key string) string { s, _ := runbook.Text(inputs[key]); return s }
	if ask.document = text("DocumentName"); !documentName.MatchString(ask.document) {
		return ask, fmt.Errorf("DocumentName %.100q is no name of a document", ask.document)
	}
	ask.version = text("DocumentVersion")
	if raw, ok := inputs["RuntimeParameters"]; ok && raw != nil && raw != "" {
		m, err := runbook.Coerce(raw, runbook.TypeStringMap)
		if err != nil {
			return ask, fmt.Errorf("RuntimeParameters: %w", err)
		}
		ask.parameters, _ = m.(map[string]any)
	}
	spec := FanSpec{
		TargetParameterName: text("TargetParameterName"), MaxConcurrency: text("MaxConcurrency"), MaxErrors: text("MaxErrors"),
		Targets: mapsOf(inputs["Targets"]), TargetMaps: mapsOf(inputs["TargetMaps"]), Locations: mapsOf(inputs["TargetLocations"]),
	}
	for i, l := range spec.Locations {
		if l["TargetLocationAlarmConfiguration"] != nil {
			return ask, fmt.Errorf("TargetLocations[%d] has a TargetLocationAlarmConfiguration, and Parry watches no CloudWatch alarms", i)
		}
	}
	if w, ok := inputs["Waves"].(map[string]any); ok {
		canary, err1 := runbook.Coerce(w["Canary"], runbook.TypeInteger)
		growth, err2 := runbook.Coerce(w["Growth"], runbook.TypeInteger)
		if err1 != nil || err2 != nil {
			return ask, fmt.Errorf("Waves needs the numbers Canary and Growth")
		}
		spec.Waves = &remediation.Waves{Canary: int(canary.(int64)), Growth: int(growth.(int64))}
	}
	if !spec.Empty() {
		ask.fan = &spec
	}
	return ask, nil
}

// targetError is a failure of the step: its targets, or their rates, are wrong.
type targetError struct{ error }

func (e *targetError) Unwrap() error { return e.error }

// openFan gives the children that the step is to start. What targets there are
// is recorded before the first of them is started.
func (x *execution) openFan(ctx context.Context, c *call, ask childStep) (*FanState, error) {
	if ask.fan == nil {
		return &FanState{List: []Target{{Location: -1}}, Total: 1, MaxConcurrency: 1, Limit: 1, Places: []Place{{Count: 1, MaxConcurrency: 1}}}, nil
	}
	raw, err := x.run.Steps.Step(ctx, x.name(c.step, fmt.Sprintf("targets.%d", c.attempt)), func(ctx context.Context) ([]byte, error) {
		fan, err := x.resolveTargets(ctx, ask.fan)
		var refused *targetError
		switch err := refusal(err, &refused); {
		case err != nil:
			return nil, err
		case refused != nil:
			return json.Marshal(map[string]any{"refused": refused.Error()})
		}
		return json.Marshal(map[string]any{"fan": fan})
	})
	if err != nil {
		return nil, err
	}
	var out struct {
		Fan     *FanState `json:"fan"`
		Refused string    `json:"refused"`
	}
	if err := decodeNumbers(raw, &out); err != nil {
		return nil, fault.E(fault.Internal, "read the targets of step "+c.step.Name, err)
	}
	if out.Fan == nil {
		return nil, &targetError{fmt.Errorf("%s", out.Refused)}
	}
	return out.Fan, nil
}

// refusal sets refused where err says that the targets themselves are wrong,
// and gives err otherwise.
func refusal(err error, refused **targetError) error {
	switch {
	case err == nil:
		return nil
	case fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound):
		*refused = &targetError{err}
		return nil
	}
	return err
}

func (x *execution) resolveTargets(ctx context.Context, spec *FanSpec) (*FanState, error) {
	targets, err := x.targets(ctx, spec)
	if err != nil {
		return nil, err
	}
	fan := &FanState{Total: len(targets), List: targets}
	var rates []placeRate
	for i, t := range targets {
		if n := len(fan.Places); n == 0 || targets[i-1].Location != t.Location {
			fan.Places = append(fan.Places, Place{First: i})
			if t.Location >= 0 && t.Location < len(spec.Locations) {
				l := spec.Locations[t.Location]
				concurrency, _ := l["TargetLocationMaxConcurrency"].(string)
				errors, _ := l["TargetLocationMaxErrors"].(string)
				rates = append(rates, placeRate{concurrency, errors})
			}
		}
		fan.Places[len(fan.Places)-1].Count++
	}
	if err := fan.rates(spec.MaxConcurrency, spec.MaxErrors, rates, spec.Waves); err != nil {
		return nil, fault.E(fault.Invalid, "", err)
	}
	if x.run.Blobs == nil || x.run.Planning {
		return fan, nil
	}
	raw, err := json.Marshal(targets)
	if err != nil {
		return nil, fault.E(fault.Internal, "keep targets", err)
	}
	if fan.Targets, err = x.run.Blobs.PutBlob(ctx, raw); err != nil {
		return nil, fmt.Errorf("keep targets: %w", err)
	}
	fan.List = nil
	return fan, nil
}

// targets asks for the targets and puts them in the order of their locations.
func (x *execution) targets(ctx context.Context, spec *FanSpec) ([]Target, error) {
	q := TargetQuery{
		Account: x.run.Account, Region: x.run.Region, Role: x.run.Role, ParameterName: spec.TargetParameterName, Locations: spec.Locations,
	}
	if len(spec.Locations) == 0 { // with locations the targets are found inside each
		q.Targets, q.TargetMaps = spec.Targets, spec.TargetMaps
	}
	targets, err := x.run.Children.Targets(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("find the targets: %w", err)
	}
	if len(targets) == 0 {
		return nil, fault.Errorf(fault.Invalid, "find the targets", "there are none")
	}
	if len(targets) > maxTargets {
		return nil, fault.Errorf(fault.Invalid, "find the targets", "there are %d, the limit is %d", len(targets), maxTargets)
	}
	slices.SortStableFunc(targets, func(a, b Target) int { return a.Location - b.Location })
	seen := make(map[string]bool, len(targets))
	for _, t := range targets {
		if t.Key == "" || len(t.Key) > 512 || seen[t.Key] {
			return nil, fault.Errorf(fault.Invalid, "find the targets", "%.100q is named twice or cannot be a name", t.Key)
		}
		seen[t.Key] = true
	}
	return targets, nil
}

// fanTargets gives the targets that openFan recorded.
func (x *execution) fanTargets(ctx context.Context, fan *FanState) ([]Target, error) {
	targets := fan.List
	if fan.Targets != "" {
		if x.run.Blobs == nil {
			return nil, fault.Errorf(fault.Internal, "read targets", "they are in a blob, and there are no blobs")
		}
		raw, err := x.run.Blobs.Blob(ctx, fan.Targets)
		if err != nil {
			return nil, fmt.Errorf("read targets: %w", err)
		}
		if err := decodeNumbers(raw, &targets); err != nil {
			return nil, fault.E(fault.Internal, "read targets", err)
		}
	}
	if len(targets) != fan.Total {
		return nil, fault.Errorf(fault.Internal, "read targets", "there are %d, not %d", len(targets), fan.Total)
	}
	for i := range targets {
		normalize(targets[i].Parameters)
	}
	return targets, nil
}
