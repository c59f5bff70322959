package target

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parry-security/parry/internal/fault"
)

// AWS's limits, of the API's model and the quotas page. Lengths are in characters.
const (
	MaxPerRule          = 5
	MaxPerCall          = 10
	MaxID               = 64
	MaxARN              = 1600
	MaxInput            = 8192
	MaxPath             = 256
	MaxVariables        = 100
	MaxVariableName     = 256
	MaxTemplate         = 8192
	MaxMessageGroup     = 100
	MaxParameter        = 512 // name or value of a header or a query string
	MaxRunTargets       = 5
	MaxRunTargetKey     = 128
	MaxRunTargetValues  = 50
	MaxRunTargetValue   = 256
	DefaultRetries      = 185
	MaxRetries          = 185
	MinEventAge         = 60
	DefaultEventAge     = 86400
	MaxEventAge         = 86400
	MaxOutput           = 256 << 10 // ours: what a template may give
	maxPathsInParameter = 100       // ours: values of one map or list of HttpParameters
)

const op = "read target"

// The patterns are those of the API's model.
var (
	idPattern       = regexp.MustCompile(`^[.\-_A-Za-z0-9]+$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z0-9_\-]+$`)
	runKeyPattern   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
	headerName      = regexp.MustCompile("^[!#$%&'*+\\-.^_`|~0-9a-zA-Z]+$")
	headerValue     = regexp.MustCompile(`^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$`)
	queryName       = regexp.MustCompile(`^[^\x00-\x1F\x7F]+$`)
	queryValue      = regexp.MustCompile(`^[^\x00-\x09\x0B\x0C\x0E-\x1F\x7F]+$`)
)

// Validate checks t as PutTargets does, for a rule of an account; the first thing that
// is wrong is the error. It compiles the input too.
func (t Target) Validate(account string) error {
	arn, isARN := ParseARN(t.ARN)
	switch {
	case t.ID == "" || len(t.ID) > MaxID || !idPattern.MatchString(t.ID):
		return invalid("target id %q is not 1 to %d letters, digits, dots, dashes and underscores", t.ID, MaxID)
	case !isARN || len(t.ARN) > MaxARN:
		return invalid("Parameter %s is not valid. Reason: Provided Arn is not in correct format.", t.ARN)
	case len(t.RoleARN) > MaxARN:
		return invalid("RoleArn of target %s has more than %d characters", t.ID, MaxARN)
	case t.RoleARN != "" && !role(t.RoleARN):
		return invalid("RoleArn of target %s is not the ARN of a role: %s", t.ID, t.RoleARN)
	case t.RoleARN == "" && (arn.Service == "kinesis" || arn.Service == "states" || t.RunCommandParameters != nil):
		return invalid("RoleArn is required for target %s.", t.ARN)
	}
	for _, err := range []error{t.validateInput(arn, account), t.validateQueues(arn), t.RetryPolicy.validate(t.ID), t.HTTPParameters.validate(t.ID), t.RunCommandParameters.validate(t.ID)} {
		if err != nil {
			return err
		}
	}
	if k := t.KinesisParameters; k != nil && (k.PartitionKeyPath == "" || len(k.PartitionKeyPath) > MaxPath) {
		return invalid("PartitionKeyPath of target %s has to have 1 to %d characters", t.ID, MaxPath)
	}
	return nil
}

func (t Target) validateInput(arn ARN, account string) error {
	given := 0
	for _, is := range []bool{t.Input != "", t.InputPath != "", t.InputTransformer != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return invalid("Only one of Input, InputPath, or InputTransformer must be provided for target %s.", t.ID)
	case given == 1 && arn.EventBus() && account != "" && arn.Account != account:
		return invalid("Input, InputPath and InputTransformer are not available for target %s: it is an event bus of another account.", t.ID).
			WithHint("leave them out, and transform the event in a rule of that bus")
	case utf8.RuneCountInString(t.Input) > MaxInput:
		return invalid("Input for target %s has more than %d characters", t.ID, MaxInput)
	case t.Input != "" && !jsontext.Value(t.Input).IsValid():
		return invalid("Input for target %s is not a valid JSON text.", t.ID).WithHint("a text has to have quotes of its own: \"\\\"text\\\"\"")
	case len(t.InputPath) > MaxPath:
		return invalid("InputPath for target %s has more than %d characters", t.ID, MaxPath)
	}
	_, err := t.Compile(Options{})
	return err
}

func (t Target) validateQueues(arn ARN) error {
	if s := t.SQSParameters; s != nil && len(s.MessageGroupID) > MaxMessageGroup {
		return invalid("MessageGroupId of target %s has more than %d characters", t.ID, MaxMessageGroup)
	}
	if arn.Service == "sqs" && arn.FIFO() && (t.SQSParameters == nil || t.SQSParameters.MessageGroupID == "") {
		return invalid("Parameter(s) SqsParameters must be specified for target: %s.", t.ID).WithHint("a FIFO queue takes messages of a group: set SqsParameters.MessageGroupId")
	}
	if t.DeadLetterConfig == nil || t.DeadLetterConfig.ARN == "" {
		return nil
	}
	dlq, ok := ParseARN(t.DeadLetterConfig.ARN)
	if !ok || dlq.Service != "sqs" || dlq.FIFO() || len(t.DeadLetterConfig.ARN) > MaxARN {
		return invalid("DeadLetterConfig of target %s is not the ARN of a standard queue: %s", t.ID, t.DeadLetterConfig.ARN).
			WithHint("EventBridge takes no FIFO queue for dead letters")
	}
	return nil
}

func (p *HTTPParameters) validate(id string) error {
	if p == nil {
		return nil
	}
	if max(len(p.PathParameterValues), len(p.HeaderParameters), len(p.QueryStringParameters)) > maxPathsInParameter {
		return invalid("HttpParameters of target %s has more than %d values of one kind", id, maxPathsInParameter)
	}
	for _, v := range p.PathParameterValues {
		if strings.TrimSpace(v) == "" {
			return invalid("PathParameterValues of target %s has an empty value", id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.HeaderParameters)) {
		if v := p.HeaderParameters[name]; max(len(name), len(v)) > MaxParameter || !headerName.MatchString(name) || !headerValue.MatchString(v) {
			return invalid("HeaderParameters of target %s: %q is not a header of at most %d printable characters", id, name, MaxParameter)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.QueryStringParameters)) {
		if v := p.QueryStringParameters[name]; max(len(name), len(v)) > MaxParameter || !queryName.MatchString(name) || !queryValue.MatchString(v) {
			return invalid("QueryStringParameters of target %s: %q is not a parameter of at most %d characters", id, name, MaxParameter)
		}
	}
	return nil
}

func (p *RunCommandParameters) validate(id string) error {
	if p == nil {
		return nil
	}
	if n := len(p.RunCommandTargets); n < 1 || n > MaxRunTargets {
		return invalid("RunCommandTargets of target %s has %d entries instead of 1 to %d", id, n, MaxRunTargets)
	}
	for _, r := range p.RunCommandTargets {
		if r.Key == "" || len(r.Key) > MaxRunTargetKey || !runKeyPattern.MatchString(r.Key) || len(r.Values) < 1 || len(r.Values) > MaxRunTargetValues {
			return invalid("RunCommandTargets of target %s: the key %q has to have 1 to %d characters and 1 to %d values", id, r.Key, MaxRunTargetKey, MaxRunTargetValues)
		}
		for _, v := range r.Values {
			if v == "" || len(v) > MaxRunTargetValue {
				return invalid("RunCommandTargets of target %s: a value of %q does not have 1 to %d characters", id, r.Key, MaxRunTargetValue)
			}
		}
	}
	return nil
}

func role(text string) bool {
	arn, ok := ParseARN(text)
	return ok && arn.Service == "iam" && strings.HasPrefix(arn.Resource, "role/")
}

func invalid(format string, args ...any) *fault.Error {
	return fault.Errorf(fault.Invalid, op, format, args...)
}
