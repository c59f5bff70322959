package target

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Target is one entry of PutTargets. Its JSON is AWS's, so that what was put is what
// ListTargetsByRule gives.
type Target struct {
	ID      string `json:"Id"`
	ARN     string `json:"Arn"`
	RoleARN string `json:"RoleArn,omitempty"`
	// At most one of the next three is set; without one the event is sent.
	Input            string            `json:"Input,omitempty"`
	InputPath        string            `json:"InputPath,omitempty"`
	InputTransformer *InputTransformer `json:"InputTransformer,omitempty"`
	DeadLetterConfig *DeadLetterConfig `json:"DeadLetterConfig,omitempty"`
	RetryPolicy      *RetryPolicy      `json:"RetryPolicy,omitempty"`

	HTTPParameters       *HTTPParameters       `json:"HttpParameters,omitempty"`
	SQSParameters        *SQSParameters        `json:"SqsParameters,omitempty"`
	RunCommandParameters *RunCommandParameters `json:"RunCommandParameters,omitempty"`
	KinesisParameters    *KinesisParameters    `json:"KinesisParameters,omitempty"`
	// What belongs to kinds of targets that are not looked into is kept as it came.
	ECSParameters               jsontext.Value `json:"EcsParameters,omitempty"`
	BatchParameters             jsontext.Value `json:"BatchParameters,omitempty"`
	RedshiftDataParameters      jsontext.Value `json:"RedshiftDataParameters,omitempty"`
	SageMakerPipelineParameters jsontext.Value `json:"SageMakerPipelineParameters,omitempty"`
	AppSyncParameters           jsontext.Value `json:"AppSyncParameters,omitempty"`
}

// DeadLetterConfig names the queue for what could not be delivered.
type DeadLetterConfig struct {
	ARN string `json:"Arn,omitempty"`
}

// HTTPParameters belong to API destinations and API Gateway. Values may be dynamic.
type HTTPParameters struct {
	PathParameterValues   []string          `json:"PathParameterValues,omitempty"`
	HeaderParameters      map[string]string `json:"HeaderParameters,omitempty"`
	QueryStringParameters map[string]string `json:"QueryStringParameters,omitempty"`
}

// SQSParameters belong to queues. The group may be dynamic.
type SQSParameters struct {
	MessageGroupID string `json:"MessageGroupId,omitempty"`
}

// KinesisParameters belong to streams.
type KinesisParameters struct {
	PartitionKeyPath string `json:"PartitionKeyPath"`
}

// RunCommandParameters belong to Run Command.
type RunCommandParameters struct {
	RunCommandTargets []RunCommandTarget `json:"RunCommandTargets"`
}

// RunCommandTarget says on which instances a command is run.
type RunCommandTarget struct {
	Key    string   `json:"Key"`
	Values []string `json:"Values"`
}

// ARN is an Amazon Resource Name in its parts.
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// ParseARN takes an ARN apart, and reports whether it is one.
func ParseARN(text string) (ARN, bool) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return ARN{}, false
	}
	return ARN{Partition: parts[1], Service: parts[2], Region: parts[3], Account: parts[4], Resource: parts[5]}, true
}

// FIFO reports whether a names a queue or a topic that keeps the order.
func (a ARN) FIFO() bool {
	return (a.Service == "sqs" || a.Service == "sns") && strings.HasSuffix(a.Resource, ".fifo")
}

// Document gives the name and the version of the automation document that a names; "" is
// its default version.
func (a ARN) Document() (name, version string, ok bool) {
	rest, ok := strings.CutPrefix(a.Resource, "automation-definition/")
	if a.Service != "ssm" || !ok {
		return "", "", false
	}
	name, version, _ = strings.Cut(rest, ":")
	return name, version, name != ""
}

// EventBus reports whether a names an event bus.
func (a ARN) EventBus() bool {
	return a.Service == "events" && strings.HasPrefix(a.Resource, "event-bus/")
}
