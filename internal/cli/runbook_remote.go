package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// accountTag is the tag by which a start names its account: Systems Manager's API
// has no member for it.
const accountTag = "parry:account"

// wavesTag is that by which it names its waves.
const wavesTag = "parry:waves"

// remoteExecutions are those of a server, over the API of Systems Manager.
type remoteExecutions struct {
	client *awsapi.Client
	keys   awsapi.Credentials
	region string
}

// remoteExecutions opens the configured server, which has the document name.
func (s *shared) remoteExecutions(name, region string) (executions, error) {
	endpoint, configured, err := s.serverAddress()
	if err != nil {
		return nil, err
	}
	if !configured {
		return nil, noServer(name)
	}
	keys := awsapi.Credentials{AccessKeyID: s.Getenv("PARRY_ACCESS_KEY_ID"), SecretAccessKey: awsapi.NewSecret(s.Getenv("PARRY_SECRET_ACCESS_KEY"))}
	if !keys.Valid() {
		return nil, fault.Errorf(fault.Invalid, "open the server", "no access key is set").
			WithHint("set PARRY_ACCESS_KEY_ID and PARRY_SECRET_ACCESS_KEY; make a key on the server: parry key create")
	}
	models, err := apimodel.Load()
	if err != nil {
		return nil, err
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Logger: s.logger(), Getenv: func(name string) string {
		if name == "AWS_ENDPOINT_URL" {
			return endpoint
		}
		return ""
	}})
	if err != nil {
		return nil, err
	}
	return &remoteExecutions{client: client, keys: keys, region: cmp.Or(region, s.Getenv("AWS_REGION"), s.Getenv("AWS_DEFAULT_REGION"), "us-east-1")}, nil
}

func (r *remoteExecutions) call(ctx context.Context, operation string, input map[string]any) (map[string]any, error) {
	reply, err := r.client.Send(ctx, r.keys, apimodel.Call{Service: "ssm", Operation: operation, Region: r.region, Input: input})
	if err != nil {
		return nil, err
	}
	out, _ := runbook.Normalize(reply.Output).(map[string]any)
	return out, nil
}

func (r *remoteExecutions) start(ctx context.Context, q startRequest) (string, error) {
	wire, err := wireParameters(q.run.Parameters)
	if err != nil {
		return "", err
	}
	in := map[string]any{"DocumentName": q.run.Document.Name}
	if len(wire) > 0 {
		in["Parameters"] = wire
	}
	for name, list := range map[string][]map[string]any{"Targets": q.run.Targets, "TargetLocations": q.run.TargetLocations} {
		if len(list) > 0 {
			in[name] = runbook.Normalize(list)
		}
	}
	for name, text := range map[string]string{"TargetParameterName": q.run.TargetParameterName, "MaxConcurrency": q.run.MaxConcurrency, "MaxErrors": q.run.MaxErrors} {
		if text != "" {
			in[name] = text
		}
	}
	tags := []any{}
	if q.run.Account != "" {
		tags = append(tags, map[string]any{"Key": accountTag, "Value": q.run.Account})
	}
	if w := q.run.Waves; w != nil {
		tags = append(tags, map[string]any{"Key": wavesTag, "Value": fmt.Sprintf("%d:%d", w.Canary, w.Growth)})
	}
	if len(tags) > 0 {
		in["Tags"] = tags
	}
	out, err := r.call(ctx, "StartAutomationExecution", in)
	if err != nil {
		return "", err
	}
	return memberText(out, "AutomationExecutionId"), nil
}

func (r *remoteExecutions) execution(ctx context.Context, id string) (map[string]any, error) {
	out, err := r.call(ctx, "GetAutomationExecution", map[string]any{"AutomationExecutionId": id})
	if err != nil {
		return nil, err
	}
	e, ok := out["AutomationExecution"].(map[string]any)
	if !ok {
		return nil, fault.Errorf(fault.Internal, "read execution "+id, "the server answered without an execution")
	}
	return e, nil
}

// preview has the server plan a document without running it, and gives what
// Systems Manager's API calls a preview.
func (r *remoteExecutions) preview(ctx context.Context, q startRequest) (map[string]any, error) {
	wire, err := wireParameters(q.run.Parameters)
	if err != nil {
		return nil, err
	}
	inputs := map[string]any{}
	if len(wire) > 0 {
		inputs["Parameters"] = wire
	}
	if len(q.run.Targets) > 0 {
		inputs["Targets"], inputs["TargetParameterName"] = runbook.Normalize(q.run.Targets), q.run.TargetParameterName
	}
	if len(q.run.TargetLocations) > 0 {
		inputs["TargetLocations"] = runbook.Normalize(q.run.TargetLocations)
	}
	out, err := r.call(ctx, "StartExecutionPreview", map[string]any{"DocumentName": q.run.Document.Name, "ExecutionInputs": map[string]any{"Automation": inputs}})
	if err != nil {
		return nil, err
	}
	id := memberText(out, "ExecutionPreviewId")
	for pause := firstLook; ; pause = min(pause*2, lastLook) {
		got, err := r.call(ctx, "GetExecutionPreview", map[string]any{"ExecutionPreviewId": id})
		if err != nil {
			return nil, err
		}
		switch memberText(got, "Status") {
		case "Success":
			delete(got, "ResponseMetadata")
			return got, nil
		case "Failed":
			return nil, fault.Errorf(fault.Invalid, "plan "+q.run.Document.Name, "%s", cmp.Or(memberText(got, "StatusMessage"), "the server gives no reason"))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (r *remoteExecutions) cancel(ctx context.Context, id string) error {
	_, err := r.call(ctx, "StopAutomationExecution", map[string]any{"AutomationExecutionId": id, "Type": "Cancel"})
	if err != nil {
		return fmt.Errorf("stop execution %s: %w", id, err)
	}
	return nil
}

func (r *remoteExecutions) close(context.Context) error {
	r.client.Close()
	return nil
}
