package target_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

const (
	queue   = "arn:aws:sqs:us-east-1:111122223333:q"
	account = "111122223333"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	n := func(n int) *int { return &n }
	for _, c := range []struct {
		name   string
		change func(*target.Target)
		text   string // "" is right
	}{
		{"plain", func(*target.Target) {}, ""},
		{"no id", func(t *target.Target) { t.ID = "" }, `target id ""`},
		{"id of 65", func(t *target.Target) { t.ID = strings.Repeat("a", 65) }, "1 to 64"},
		{"id of 64", func(t *target.Target) { t.ID = strings.Repeat("a", 64) }, ""},
		{"id with a space", func(t *target.Target) { t.ID = "a b" }, "letters, digits, dots"},
		{"no ARN", func(t *target.Target) { t.ARN = "queue" }, "Parameter queue is not valid. Reason: Provided Arn is not in correct format."},
		{"long ARN", func(t *target.Target) { t.ARN += strings.Repeat("q", 1600) }, "Provided Arn is not in correct format"},
		{"user as role", func(t *target.Target) { t.RoleARN = "arn:aws:iam::111122223333:user/x" }, "is not the ARN of a role"},
		{"role", func(t *target.Target) { t.RoleARN = "arn:aws-cn:iam::111122223333:role/path/x" }, ""},
		{"long role", func(t *target.Target) { t.RoleARN = "arn:aws:iam::1:role/" + strings.Repeat("x", 1600) }, "more than 1600"},
		{"stream without a role", func(t *target.Target) { t.ARN = "arn:aws:kinesis:us-east-1:111122223333:stream/s" }, "RoleArn is required for target arn:aws:kinesis"},
		{"state machine without a role", func(t *target.Target) { t.ARN = "arn:aws:states:us-east-1:111122223333:stateMachine:s" }, "RoleArn is required"},
		{"two inputs", func(t *target.Target) { t.Input, t.InputPath = "{}", "$" }, "Only one of Input, InputPath, or InputTransformer must be provided for target t."},
		{"three inputs", func(t *target.Target) {
			t.Input, t.InputPath, t.InputTransformer = "{}", "$", &target.InputTransformer{InputTemplate: `"x"`}
		}, "Only one of"},
		{"input is no JSON", func(t *target.Target) { t.Input = "text" }, "Input for target t is not a valid JSON text."},
		{"input of 8193", func(t *target.Target) { t.Input = `"` + strings.Repeat("x", 8191) + `"` }, "more than 8192"},
		{"input of 8192 characters", func(t *target.Target) { t.Input = `"` + strings.Repeat("é", 8190) + `"` }, ""},
		{"input of 8192", func(t *target.Target) { t.Input = `"` + strings.Repeat("x", 8190) + `"` }, ""},
		{"path of 257", func(t *target.Target) { t.InputPath = "$." + strings.Repeat("x", 255) }, "InputPath for target t has more than 256"},
		// AWS does not look into paths.
		{"path of another language", func(t *target.Target) { t.InputPath = "$..x[?(@.y)]" }, ""},
		{"template", func(t *target.Target) { t.InputTransformer = &target.InputTransformer{InputTemplate: `"<x>"`} }, "invalid placeholder x"},
		{"bus of this account", func(t *target.Target) {
			t.ARN, t.InputPath = "arn:aws:events:eu-west-1:111122223333:event-bus/b", "$.detail"
		}, ""},
		{"bus of another account", func(t *target.Target) {
			t.ARN, t.InputPath = "arn:aws:events:eu-west-1:444455556666:event-bus/b", "$.detail"
		}, "it is an event bus of another account"},
		{"bus of another account, whole event", func(t *target.Target) { t.ARN = "arn:aws:events:eu-west-1:444455556666:event-bus/b" }, ""},
		{"FIFO without a group", func(t *target.Target) { t.ARN += ".fifo" }, "Parameter(s) SqsParameters must be specified for target: t."},
		{"FIFO", func(t *target.Target) {
			t.ARN, t.SQSParameters = t.ARN+".fifo", &target.SQSParameters{MessageGroupID: "$.detail.state"}
		}, ""},
		{"long group", func(t *target.Target) {
			t.SQSParameters = &target.SQSParameters{MessageGroupID: strings.Repeat("g", 101)}
		}, "more than 100"},
		{"dead letters", func(t *target.Target) { t.DeadLetterConfig = &target.DeadLetterConfig{ARN: queue} }, ""},
		{"dead letters, none", func(t *target.Target) { t.DeadLetterConfig = &target.DeadLetterConfig{} }, ""},
		{"dead letters to FIFO", func(t *target.Target) { t.DeadLetterConfig = &target.DeadLetterConfig{ARN: queue + ".fifo"} }, "is not the ARN of a standard queue"},
		{"dead letters to a topic", func(t *target.Target) {
			t.DeadLetterConfig = &target.DeadLetterConfig{ARN: "arn:aws:sns:us-east-1:1:t"}
		}, "is not the ARN of a standard queue"},
		{"retries", func(t *target.Target) {
			t.RetryPolicy = &target.RetryPolicy{MaximumRetryAttempts: n(0), MaximumEventAgeInSeconds: n(60)}
		}, ""},
		{"186 retries", func(t *target.Target) { t.RetryPolicy = &target.RetryPolicy{MaximumRetryAttempts: n(186)} }, "is 186 instead of 0 to 185"},
		{"-1 retries", func(t *target.Target) { t.RetryPolicy = &target.RetryPolicy{MaximumRetryAttempts: n(-1)} }, "is -1"},
		{"59 s", func(t *target.Target) { t.RetryPolicy = &target.RetryPolicy{MaximumEventAgeInSeconds: n(59)} }, "is 59 instead of 60 to 86400"},
		{"a day and a second", func(t *target.Target) { t.RetryPolicy = &target.RetryPolicy{MaximumEventAgeInSeconds: n(86401)} }, "is 86401"},
		{"headers", func(t *target.Target) {
			t.HTTPParameters = &target.HTTPParameters{HeaderParameters: map[string]string{"X-A": "$.detail.state"}, PathParameterValues: []string{"a"}, QueryStringParameters: map[string]string{"q": "1\n"}}
		}, ""},
		{"header with a line", func(t *target.Target) {
			t.HTTPParameters = &target.HTTPParameters{HeaderParameters: map[string]string{"X-A": "a\r\nX-B: b"}}
		}, `HeaderParameters of target t: "X-A"`},
		{"name with a colon", func(t *target.Target) {
			t.HTTPParameters = &target.HTTPParameters{HeaderParameters: map[string]string{"X:A": "a"}}
		}, `"X:A"`},
		{"query with NUL", func(t *target.Target) {
			t.HTTPParameters = &target.HTTPParameters{QueryStringParameters: map[string]string{"q": "\x00"}}
		}, `QueryStringParameters of target t: "q"`},
		{"empty path value", func(t *target.Target) { t.HTTPParameters = &target.HTTPParameters{PathParameterValues: []string{" "}} }, "has an empty value"},
		{"101 path values", func(t *target.Target) {
			t.HTTPParameters = &target.HTTPParameters{PathParameterValues: make([]string, 101)}
		}, "more than 100 values"},
		{"stream without a path", func(t *target.Target) { t.KinesisParameters = &target.KinesisParameters{} }, "PartitionKeyPath of target t"},
		{"command without a role", func(t *target.Target) { t.RunCommandParameters = &target.RunCommandParameters{} }, "RoleArn is required"},
		{"command without targets", func(t *target.Target) {
			t.RoleARN, t.RunCommandParameters = "arn:aws:iam::1:role/r", &target.RunCommandParameters{}
		}, "has 0 entries instead of 1 to 5"},
		{"command without values", func(t *target.Target) {
			t.RoleARN, t.RunCommandParameters = "arn:aws:iam::1:role/r", &target.RunCommandParameters{RunCommandTargets: []target.RunCommandTarget{{Key: "InstanceIds"}}}
		}, `the key "InstanceIds"`},
		{"command with an empty value", func(t *target.Target) {
			t.RoleARN, t.RunCommandParameters = "arn:aws:iam::1:role/r", &target.RunCommandParameters{RunCommandTargets: []target.RunCommandTarget{{Key: "tag:a", Values: []string{""}}}}
		}, `a value of "tag:a"`},
		{"command", func(t *target.Target) {
			t.RoleARN, t.RunCommandParameters = "arn:aws:iam::1:role/r", &target.RunCommandParameters{RunCommandTargets: []target.RunCommandTarget{{Key: "tag:a", Values: []string{"b"}}}}
		}, ""},
	} {
		one := target.Target{ID: "t", ARN: queue}
		c.change(&one)
		err := one.Validate(account)
		if (err == nil) != (c.text == "") || (err != nil && (!strings.Contains(err.Error(), c.text) || !fault.Is(err, fault.Invalid))) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestJSONIsAWSs: what PutTargets takes is what ListTargetsByRule gives.
func TestJSONIsAWSs(t *testing.T) {
	t.Parallel()
	text := `{"Id":"t","Arn":"` + queue + `","RoleArn":"arn:aws:iam::1:role/r","InputTransformer":{"InputPathsMap":{"a":"$.b"},"InputTemplate":"\"<a>\""},` +
		`"DeadLetterConfig":{"Arn":"` + queue + `"},"RetryPolicy":{"MaximumRetryAttempts":0,"MaximumEventAgeInSeconds":60},` +
		`"HttpParameters":{"PathParameterValues":["x"],"HeaderParameters":{"h":"v"},"QueryStringParameters":{"q":"v"}},"SqsParameters":{"MessageGroupId":"g"},` +
		`"RunCommandParameters":{"RunCommandTargets":[{"Key":"k","Values":["v"]}]},"KinesisParameters":{"PartitionKeyPath":"$.id"},` +
		`"EcsParameters":{"TaskDefinitionArn":"a","TaskCount":2},"BatchParameters":{"JobName":"j"},"RedshiftDataParameters":{"Database":"d"},` +
		`"SageMakerPipelineParameters":{"PipelineParameterList":[]},"AppSyncParameters":{"GraphQLOperation":"o"}}`
	var one target.Target
	if err := json.Unmarshal([]byte(text), &one); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	var want, have any
	if json.Unmarshal([]byte(text), &want) != nil || json.Unmarshal(got, &have) != nil {
		t.Fatal("not JSON")
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, err := json.Marshal(target.Target{ID: "t", ARN: queue}); err != nil || string(got) != `{"Id":"t","Arn":"`+queue+`"}` {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	n := func(n int) *int { return &n }
	short := &target.RetryPolicy{MaximumRetryAttempts: n(3), MaximumEventAgeInSeconds: n(60)}
	for _, c := range []struct {
		name       string
		policy     *target.RetryPolicy
		retries    int
		age        time.Duration
		random     float64
		retryAfter time.Duration
		want       time.Duration
		exhausted  target.Exhausted
	}{
		{"first, at most a second", nil, 0, 0, 1, 0, time.Second, ""},
		{"any part of it", nil, 0, 0, 0.25, 0, 250 * time.Millisecond, ""},
		{"tenth", nil, 9, time.Hour, 1, 0, 512 * time.Second, ""},
		{"eleventh: the cap", nil, 10, time.Hour, 1, 0, 900 * time.Second, ""},
		{"far on: the cap", nil, 184, time.Hour, 0.5, 0, 450 * time.Second, ""},
		{"no more retries", nil, 185, time.Hour, 0.5, 0, 0, target.ExhaustedAttempts},
		{"a day old", nil, 3, 24 * time.Hour, 0.5, 0, 0, target.ExhaustedAge},
		{"both", short, 3, time.Hour, 0.5, 0, 0, target.ExhaustedAttempts},
		{"never", &target.RetryPolicy{MaximumRetryAttempts: n(0)}, 0, 0, 0.5, 0, 0, target.ExhaustedAttempts},
		{"the target asks for more", nil, 0, 0, 1, 30 * time.Second, 30 * time.Second, ""},
		{"the target asks for less", nil, 9, 0, 1, 30 * time.Second, 512 * time.Second, ""},
		{"the target asks for too much", short, 0, 10 * time.Second, 1, 51 * time.Second, 0, target.ExhaustedAge},
		{"the last try is in time", short, 2, 59 * time.Second, 1, 0, time.Second, ""},
		{"no random number", nil, 3, 0, math.NaN(), 0, 0, ""},
		{"a bad one", nil, 3, 0, 7, 0, 8 * time.Second, ""},
	} {
		wait, exhausted := c.policy.Next(c.retries, c.age, c.random, c.retryAfter)
		if wait != c.want || exhausted != c.exhausted {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, wait, exhausted, c.want, c.exhausted)
		}
	}
}

// TestRetriesSpanADay: with the middle of every wait the default ends on its 185 retries,
// shortly before the event is too old.
func TestRetriesSpanADay(t *testing.T) {
	t.Parallel()
	age := time.Duration(0)
	for retries := 0; ; retries++ {
		wait, exhausted := (*target.RetryPolicy)(nil).Next(retries, age, 0.5, 0)
		if exhausted != "" {
			if exhausted != target.ExhaustedAttempts || retries != 185 || age < 21*time.Hour || age > 24*time.Hour {
				t.Errorf("%d retries over %v, ended by %s", retries, age, exhausted)
			}
			return
		}
		age += wait
	}
}

func TestARN(t *testing.T) {
	t.Parallel()
	got, ok := target.ParseARN("arn:aws-us-gov:events:us-gov-west-1:111122223333:event-bus/a:b")
	want := target.ARN{Partition: "aws-us-gov", Service: "events", Region: "us-gov-west-1", Account: "111122223333", Resource: "event-bus/a:b"}
	if !ok || got != want || !got.EventBus() || got.FIFO() {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"", "arn:aws:sqs:r:a", "arn:aws:sqs:r:a:", "arn::sqs:r:a:q", "arn:aws::r:a:q", "urn:aws:sqs:r:a:q"} {
		if _, ok := target.ParseARN(bad); ok {
			t.Errorf("%q is an ARN", bad)
		}
	}
}
