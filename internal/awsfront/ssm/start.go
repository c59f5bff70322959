package ssm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

const (
	// AccountTag is the tag that says on which account to run a document: the API
	// has no member for it, because at AWS a caller belongs to one account.
	AccountTag = "parry:account"
	// WavesTag is the tag that makes a run on targets begin with a canary:
	// "CANARY:GROWTH". AWS's API has no member for waves either.
	WavesTag = "parry:waves"
	// MaxDepth bounds how many executions may stand above one that is started by a
	// step or script through this API, so that no document starts itself for ever.
	MaxDepth = 5
)

const badParameters = "InvalidAutomationExecutionParametersException"

type startInput struct {
	DocumentName        string
	DocumentVersion     string
	Parameters          map[string][]string
	ClientToken         string
	Mode                string
	TargetParameterName string
	Targets             []map[string]any
	TargetMaps          []map[string]any
	TargetLocations     []map[string]any
	MaxConcurrency      string
	MaxErrors           string
	Tags                []tag
	AlarmConfiguration  json.RawMessage
	TargetLocationsURL  string

	preview bool
}

type startOutput struct {
	AutomationExecutionID string `json:"AutomationExecutionId"`
}

func (h *Handler) startExecution(ctx context.Context, c Caller, in *startInput) (any, error) {
	run, err := h.prepare(ctx, c, in)
	if err != nil || c.Check {
		return nil, err
	}
	id, err := h.request(ctx, c, run)
	return startOutput{id}, err
}

// MayStart says why a principal may not start a document anywhere, as the member role.
func (h *Handler) MayStart(p auth.Principal, document string) error {
	return h.cfg.Rights.MayStart(p, document, auth.All, "")
}

// request hands a run to the desk, once for each client token.
func (h *Handler) request(ctx context.Context, c Caller, run remediation.Run) (string, error) {
	id, _, err := h.cfg.Desk.RequestRun(ctx, run, c.Principal.Name)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, store.ErrExists) && run.ClientToken != "":
		return h.repeated(ctx, c, run)
	}
	return "", as(err, fault.Exhausted, "AutomationExecutionLimitExceededException", "%s", err)
}

// repeated gives the execution that was started under the token of run, if the
// request was the same.
func (h *Handler) repeated(ctx context.Context, c Caller, run remediation.Run) (string, error) {
	first, err := h.cfg.Executions.ExecutionByToken(ctx, c.Principal.Name, run.ClientToken)
	if err != nil {
		return "", err
	}
	if first.Asked == nil || !sameRequest(*first.Asked, run) {
		return "", refuse("IdempotentParameterMismatch", "The client token %s was used with other parameters, for execution %s.", run.ClientToken, first.ID)
	}
	return first.ID, nil
}

// sameRequest compares what was asked for. The document's text is left out: a
// version that was added between the two requests makes no other request.
func sameRequest(a, b remediation.Run) bool {
	text := func(r remediation.Run) string {
		r.Execution = ""
		r.Document = remediation.Runbook{Name: r.Document.Name}
		if len(r.Tags) == 0 {
			r.Tags = nil
		}
		raw, err := json.Marshal(r)
		if err != nil {
			return err.Error()
		}
		return string(raw)
	}
	return text(a) == text(b)
}

// prepare checks everything about a request to run a document that can be told
// without AWS, the caller's rights included.
func (h *Handler) prepare(ctx context.Context, c Caller, in *startInput) (remediation.Run, error) {
	if err := unsupported(in); err != nil {
		return remediation.Run{}, err
	}
	d, err := h.document(ctx, in.DocumentName, in.DocumentVersion, "")
	if err != nil {
		return remediation.Run{}, definitionError(err, in)
	}
	doc, err := h.parsed.parse(d.Content)
	if err != nil {
		return remediation.Run{}, fault.E(fault.Internal, "read document "+d.Name, err)
	}
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return remediation.Run{}, err
	}
	values, err := resolve(doc, in)
	if err != nil {
		return remediation.Run{}, err
	}
	run := remediation.Run{
		Document: remediation.Runbook{Name: d.Name, Revision: d.Revision, Content: d.Content}, Version: strconv.Itoa(d.Version),
		Parameters: runbook.FromWire(in.Parameters), Region: c.Region, Mode: in.Mode, Tags: tags, ClientToken: in.ClientToken, TargetParameterName: in.TargetParameterName,
		Targets: in.Targets, TargetMaps: in.TargetMaps, TargetLocations: in.TargetLocations, MaxConcurrency: in.MaxConcurrency, MaxErrors: in.MaxErrors,
		Preview: in.preview, Rule: c.Rule, Event: c.Event,
	}
	if run.Mode == "" {
		run.Mode = "Auto"
	}
	if run.Waves, err = waves(tags, run.OnTargets()); err != nil {
		return remediation.Run{}, err
	}
	if err := h.place(c, &run, doc, values); err != nil {
		return remediation.Run{}, err
	}
	return run, h.checkTargets(c, &run, doc)
}

// unsupported refuses what Parry would otherwise have to leave out silently.
func unsupported(in *startInput) error {
	switch {
	case len(in.AlarmConfiguration) > 0:
		return noAlarms("AlarmConfiguration")
	case in.TargetLocationsURL != "":
		return refuse(badParameters, "Parry fetches no TargetLocationsURL: it makes no calls but those of AWS's APIs. Give the file's content as TargetLocations (aws ssm start-automation-execution --target-locations file://locations.json).")
	}
	return nil
}

// noAlarms refuses to watch an alarm: a run that goes on although its alarm fires is
// not what was asked for.
func noAlarms(member string) error {
	return refuse(badParameters, "Parry watches no CloudWatch alarms while a document runs. Start it without %s; MaxErrors, "+
		"StopAutomationExecution and the stop switch (parry stop on) end a run.", member)
}

// definitionError words a missing document as this operation does.
func definitionError(err error, in *startInput) error {
	switch e := ErrorOf(err); e.Code {
	case "InvalidDocument":
		return refuse("AutomationDefinitionNotFoundException", "Automation definition %s not found.", protocol.Clip(in.DocumentName))
	case "InvalidDocumentVersion":
		return refuse("AutomationDefinitionVersionNotFoundException", "Automation definition %s has no version %s.", protocol.Clip(in.DocumentName), protocol.Clip(in.DocumentVersion))
	}
	return err
}

// resolve gives the typed values of the parameters, or what is wrong with them.
// Defaults that stand in the Parameter Store are read when the run is planned.
func resolve(doc *runbook.Document, in *startInput) (map[string]any, error) {
	given := runbook.FromWire(in.Parameters)
	for name := range given {
		if _, ok := doc.Parameter(name); !ok {
			return nil, refuse(badParameters, "Parameter %q is not defined in the document.", protocol.Clip(name))
		}
	}
	var stored []string
	for i := range doc.Parameters {
		p := &doc.Parameters[i]
		if _, ok := given[p.Name]; ok {
			if err := allowed(p, in.Parameters[p.Name]); err != nil {
				return nil, err
			}
			continue
		}
		switch {
		case p.Name == in.TargetParameterName || mapped(in.TargetMaps, p.Name):
			stored = append(stored, p.Name) // each target brings its own
		case !p.HasDefault:
			return nil, refuse(badParameters, "Missing required parameter: %s in user inputs.", p.Name)
		case fromStore(p.Default):
			stored = append(stored, p.Name)
		}
	}
	values, err := doc.ResolveGiven(given, stored)
	if err != nil {
		return nil, refuse(badParameters, "%s", strings.TrimPrefix(err.Error(), "resolve parameters: "))
	}
	return values, nil
}

// allowed words a value that is not among the allowed ones as AWS does.
func allowed(p *runbook.Parameter, texts []string) error {
	if len(p.AllowedValues) == 0 {
		return nil
	}
	names := make([]string, len(p.AllowedValues))
	for i, v := range p.AllowedValues {
		text, err := runbook.Text(v)
		if err != nil {
			return nil //nolint:nilerr // ResolveGiven says what is wrong
		}
		names[i] = text
	}
	for _, text := range texts {
		fits := false
		for _, name := range names {
			fits = fits || text == name || p.Type == runbook.TypeBoolean && strings.EqualFold(text, name)
		}
		if !fits && p.Type == runbook.TypeString {
			return refuse(badParameters, "Parameter %q has value %q not found in [%s].", p.Name, protocol.Clip(text), protocol.Clip(strings.Join(names, ", ")))
		}
	}
	return nil
}

func fromStore(v any) bool {
	text, ok := v.(string)
	if !ok {
		return false
	}
	return slices.ContainsFunc(runbook.ParseTemplate(text).Refs(), func(r runbook.Ref) bool { return r.Kind == runbook.RefSSM })
}

func mapped(maps []map[string]any, name string) bool {
	for _, m := range maps {
		if _, ok := m[name]; ok {
			return true
		}
	}
	return false
}

// place decides on which account the document runs and checks that the caller
// may run it there, as the role that the document assumes.
//
// In order: the account of the execution that asks; the tag parry:account; the
// account of the role that the document assumes; the only account of the
// caller's key; the account that Parry runs for.
func (h *Handler) place(c Caller, run *remediation.Run, doc *runbook.Document, values map[string]any) error {
	if c.Parent != nil {
		if c.Parent.Depth+1 > MaxDepth {
			return refuse("AutomationExecutionLimitExceededException", "Execution %s stands %d executions deep and may start no other.", c.Parent.Execution, c.Parent.Depth)
		}
		run.Parent, run.Depth = c.Parent.Execution, c.Parent.Depth+1
	}
	if !regionName.MatchString(run.Region) {
		return protocol.InvalidMember("region", run.Region, "the region that the request is signed for must be one of AWS's names")
	}
	account := h.accountOf(c, run)
	role, err := roleOf(doc, values, roleScope{account: account, region: run.Region, partition: h.cfg.Partition, values: values})
	if err != nil {
		return err
	}
	fixed := c.Parent != nil || run.Tags[AccountTag] != ""
	if owner := roleAccount(role); owner != "" && owner != account {
		if fixed {
			return refuse(badParameters, "The role %s is of another account than %s, on which the document is to run.", protocol.Clip(role), account)
		}
		account = owner
	}
	run.Account = account
	if !accountID.MatchString(account) {
		return protocol.InvalidMember("tags."+AccountTag, account, "Member must be a 12-digit account id")
	}
	if err := auth.Authorize(c.Principal, auth.ExecutionStart, account); err != nil {
		return fmt.Errorf("%w (account: tag %s)", err, AccountTag)
	}
	return h.cfg.Rights.MayStart(c.Principal, run.Document.Name, account, role)
}

var (
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
	regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$`)
	roleARN    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}):role/[\w+=,.@/-]{1,576}$`)
	// unitName is an organizational unit by its id (ou-..., r-...) or by its path in
	// Parry's configuration, or the tag:KEY=VALUE of accounts.
	unitName = regexp.MustCompile(`^[A-Za-z][\w+=,.@ :/-]{0,511}$`)
)

func (h *Handler) accountOf(c Caller, run *remediation.Run) string {
	switch {
	case c.Parent != nil:
		return c.Parent.Account
	case run.Tags[AccountTag] != "":
		return run.Tags[AccountTag]
	case len(c.Principal.Accounts) == 1 && c.Principal.Accounts[0] != auth.All:
		return c.Principal.Accounts[0]
	}
	return h.cfg.Account
}

func roleAccount(role string) string {
	if m := roleARN.FindStringSubmatch(role); m != nil {
		return m[1]
	}
	return ""
}

// roleOf gives the role that a document assumes, "" for none.
func roleOf(doc *runbook.Document, values map[string]any, scope roleScope) (string, error) {
	if strings.TrimSpace(doc.AssumeRole) == "" {
		return "", nil
	}
	for _, ref := range runbook.ParseTemplate(doc.AssumeRole).Refs() {
		if _, ok := values[ref.Name]; ref.Kind == runbook.RefParameter && !ok {
			return "", nil // From the Parameter Store or a target: judged when it is planned.
		}
	}
	v, err := runbook.Resolve(doc.AssumeRole, scope)
	if err != nil {
		return "", refuse(badParameters, "The role that the document assumes cannot be told: %s", err)
	}
	role, ok := v.(string)
	switch {
	case ok && strings.TrimSpace(role) == "":
		return "", nil
	case !ok || roleAccount(role) == "":
		return "", refuse(badParameters, "The role %q that the document assumes is not the ARN of a role.", protocol.Clip(fmt.Sprint(v)))
	}
	return role, nil
}

// roleScope resolves what an assumeRole may refer to.
type roleScope struct {
	account, region, partition string
	values                     map[string]any
}

// Lookup gives the value of a reference.
func (s roleScope) Lookup(r runbook.Ref) (any, error) {
	if r.Kind == runbook.RefParameter {
		return s.values[r.Name], nil
	}
	if r.Kind == runbook.RefGlobal {
		switch r.Name {
		case "ACCOUNT_ID":
			return s.account, nil
		case "REGION":
			return s.region, nil
		case "AWS_PARTITION":
			return s.partition, nil
		}
	}
	return nil, errors.New("a role may refer to parameters and to global:ACCOUNT_ID, global:REGION and global:AWS_PARTITION only")
}
