package runbook

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/apimodel"
)

// The limits of actions that call AWS.
const (
	// MaxActionInstances bounds the instances of one step: DescribeInstances gives no
	// second page for instances asked for by id.
	MaxActionInstances  = 100
	maxCommandInstances = 50   // what one SendCommand takes by id
	maxTagged           = 1000 // what one CreateTags takes
	maxWebhookBody      = 256 << 10
	// integrationPrefix is the part of Parameter Store that AWS reserves for webhook
	// integrations.
	integrationPrefix = "/d9d01087-4a3f-49e0-b0b4-d568d7826553/ssm/integrations/webhook/"
)

// ActionCall is a call that an action makes by itself.
type ActionCall struct {
	Service, Operation string
	// Input is the whole input, or with Partial the part that the step's inputs tell:
	// the rest comes from the answers to the calls before.
	Input   map[string]any
	Partial bool
	// Cancel says that it is made only when the step is cancelled.
	Cancel bool
}

// ActionCalls lists the calls of an action other than aws:executeAwsApi and its
// like, in the order in which they are first made, from a step's inputs. Those may
// hold apimodel.Unknown, which then stands in the calls; where an input decides
// which call is made and is unknown, all of them are listed. Token is what stands
// in members by which AWS knows a call that is repeated. An action that makes no
// calls by itself gives none; the errors are those of the step's inputs.
//
// AWS's pages: automation-action-*.html and invoke-webhook.html in the Systems
// Manager user guide.
func ActionCalls(action string, inputs map[string]any, token string) ([]ActionCall, error) {
	build, ok := actionCalls[action]
	if !ok {
		return nil, nil
	}
	return build(singled(inputs), token)
}

// singleInputs take one text. Documents give them a list of one, such as the
// InstanceIds of an instance that a step before has launched; AWS's own do.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-tutorial-update-patch-golden-ami.html
var singleInputs = []string{
	"FunctionName", "ImageId", "ImageName", "InstanceId", "InstanceType", "SourceImageId", "StackName", "SubnetId", "stateMachineArn",
}

// singled gives the inputs with the item of a list of one in place of the list,
// where one text is asked for.
func singled(inputs map[string]any) map[string]any {
	out := maps.Clone(inputs)
	for _, name := range singleInputs {
		if list, ok := out[name].([]any); ok && len(list) == 1 {
			out[name] = list[0]
		}
	}
	return out
}

var actionCalls = map[string]func(in givenInputs, token string) ([]ActionCall, error){
	ActionChangeState:  changeStateCalls,
	ActionCopyImage:    copyImageCalls,
	ActionCreateImage:  createImageCalls,
	ActionCreateStack:  createStackCalls,
	ActionCreateTags:   createTagsCalls,
	ActionDeleteImage:  deleteImageCalls,
	ActionDeleteStack:  deleteStackCalls,
	ActionLambda:       lambdaCalls,
	ActionRunCommand:   runCommandCalls,
	ActionRunInstances: runInstancesCalls,
	ActionStateMachine: stateMachineCalls,
	ActionWebhook:      webhookCalls,
}

func whole(service, operation string, input map[string]any) ActionCall {
	return ActionCall{Service: service, Operation: operation, Input: input}
}

func partial(service, operation string) ActionCall {
	return ActionCall{Service: service, Operation: operation, Input: map[string]any{}, Partial: true}
}

func changeStateCalls(in givenInputs, _ string) ([]ActionCall, error) {
	ids, err := in.list("InstanceIds", MaxActionInstances)
	if err != nil {
		return nil, err
	}
	desired, err := in.oneOf("DesiredState", "", "running", "stopped", "terminated")
	if err != nil {
		return nil, err
	}
	only, err := in.boolean("CheckStateOnly")
	if err != nil {
		return nil, err
	}
	force, err := in.boolean("Force")
	if err != nil {
		return nil, err
	}
	changes := map[string]ActionCall{}
	for state, operation := range map[string]string{"running": "StartInstances", "stopped": "StopInstances", "terminated": "TerminateInstances"} {
		c := whole("ec2", operation, map[string]any{"InstanceIds": ids})
		if state == "running" && in.has("AdditionalInfo") {
			c.Input["AdditionalInfo"] = in["AdditionalInfo"]
		}
		if state == "stopped" && force != false {
			c.Input["Force"] = force
		}
		changes[state] = c
	}
	var calls []ActionCall
	if only != true {
		for _, state := range []string{"running", "stopped", "terminated"} {
			if desired == state || isLater(desired) {
				calls = append(calls, changes[state])
			}
		}
	}
	calls = append(calls, whole("ec2", "DescribeInstances", map[string]any{"InstanceIds": ids}))
	if desired == "running" || isLater(desired) {
		calls = append(calls, whole("ec2", "DescribeInstanceStatus", map[string]any{"InstanceIds": ids}))
	}
	return calls, nil
}

func runInstancesCalls(in givenInputs, _ string) ([]ActionCall, error) {
	if _, err := in.text("ImageId"); err != nil {
		return nil, err
	}
	call := in.rest("MinInstanceCount", "MaxInstanceCount", "IamInstanceProfileArn", "IamInstanceProfileName", "Monitoring", "UserData")
	if err := launchCounts(in, call); err != nil {
		return nil, err
	}
	if err := typed(call, TypeBoolean, "DisableApiTermination", "EbsOptimized"); err != nil {
		return nil, err
	}
	if err := typed(call, TypeStringList, "SecurityGroupIds", "SecurityGroups"); err != nil {
		return nil, err
	}
	if err := in.mapLists(call, "BlockDeviceMappings", "NetworkInterfaces", "TagSpecifications"); err != nil {
		return nil, err
	}
	if err := launchShapes(in, call); err != nil {
		return nil, err
	}
	return []ActionCall{whole("ec2", "RunInstances", call), partial("ec2", "DescribeInstances"), partial("ec2", "DescribeInstanceStatus")}, nil
}

// launchCounts gives MinCount and MaxCount, which default to one and to the
// minimum.
func launchCounts(in givenInputs, call map[string]any) error {
	call["MinCount"] = int64(1)
	if in.has("MinInstanceCount") {
		call["MinCount"] = in["MinInstanceCount"]
	}
	call["MaxCount"] = call["MinCount"]
	if in.has("MaxInstanceCount") {
		call["MaxCount"] = in["MaxInstanceCount"]
	}
	if err := typed(call, TypeInteger, "MinCount", "MaxCount"); err != nil {
		return err
	}
	least, known := call["MinCount"].(int64)
	most, alsoKnown := call["MaxCount"].(int64)
	if known && alsoKnown && (least < 1 || most < least || most > MaxActionInstances) {
		return fmt.Errorf("MinInstanceCount and MaxInstanceCount need 1 <= minimum <= maximum <= %d, they are %d and %d", MaxActionInstances, least, most)
	}
	return nil
}

// launchShapes makes the inputs that RunInstances takes in another form.
func launchShapes(in givenInputs, call map[string]any) error {
	profile := map[string]any{}
	for input, member := range map[string]string{"IamInstanceProfileArn": "Arn", "IamInstanceProfileName": "Name"} {
		if in.has(input) {
			profile[member] = in[input]
		}
	}
	if len(profile) > 0 {
		call["IamInstanceProfile"] = profile
	}
	if in.has("Monitoring") {
		on, err := in.boolean("Monitoring")
		if err != nil {
			return err
		}
		call["Monitoring"] = map[string]any{"Enabled": on}
	}
	if !in.has("UserData") {
		return nil
	}
	// The document gives it encoded; the client encodes it, as boto3 does.
	text, err := in.text("UserData")
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	switch {
	case isLater(text):
		call["UserData"] = apimodel.Unknown
	case err != nil:
		return fmt.Errorf("UserData has to be Base64")
	case utf8.Valid(raw):
		call["UserData"] = string(raw)
	default:
		call["UserData"] = raw
	}
	return nil
}

func createImageCalls(in givenInputs, _ string) ([]ActionCall, error) {
	call, err := imageInput(in, "InstanceId")
	if err != nil {
		return nil, err
	}
	if err := typed(call, TypeBoolean, "NoReboot"); err != nil {
		return nil, err
	}
	if err := in.mapLists(call, "BlockDeviceMappings"); err != nil {
		return nil, err
	}
	return []ActionCall{whole("ec2", "CreateImage", call), partial("ec2", "DescribeImages")}, nil
}

func copyImageCalls(in givenInputs, _ string) ([]ActionCall, error) {
	call, err := imageInput(in, "SourceImageId", "SourceRegion")
	if err != nil {
		return nil, err
	}
	if err := typed(call, TypeBoolean, "Encrypted", "CopyImageTags"); err != nil {
		return nil, err
	}
	return []ActionCall{whole("ec2", "CopyImage", call), partial("ec2", "DescribeImages")}, nil
}

// imageInput gives the input of CreateImage and CopyImage, which call ImageName
// and ImageDescription otherwise.
func imageInput(in givenInputs, required ...string) (map[string]any, error) {
	for _, name := range append(required, "ImageName") {
		if _, err := in.text(name); err != nil {
			return nil, err
		}
	}
	call := in.rest("ImageName", "ImageDescription")
	call["Name"] = in["ImageName"]
	if in.has("ImageDescription") {
		call["Description"] = in["ImageDescription"]
	}
	return call, typed(call, TypeString, "Name", "Description")
}

func deleteImageCalls(in givenInputs, _ string) ([]ActionCall, error) {
	id, err := in.text("ImageId")
	if err != nil {
		return nil, err
	}
	return []ActionCall{
		whole("ec2", "DescribeImages", map[string]any{"ImageIds": []any{id}}),
		whole("ec2", "DeregisterImage", map[string]any{"ImageId": id}),
		// Which it is, the answer to the first call tells.
		whole("ec2", "DeleteSnapshot", map[string]any{"SnapshotId": apimodel.Unknown}),
	}, nil
}

func createTagsCalls(in givenInputs, _ string) ([]ActionCall, error) {
	kind, err := in.oneOf("ResourceType", "EC2", "EC2", "ManagedInstance", "MaintenanceWindow", "Parameter")
	if err != nil {
		return nil, err
	}
	limit := 1
	if kind == "EC2" || isLater(kind) {
		limit = maxTagged
	}
	ids, err := in.list("ResourceIds", limit)
	if err != nil {
		return nil, err
	}
	if !in.has("Tags") {
		return nil, fmt.Errorf("Tags is required")
	}
	tags, err := in.maps("Tags")
	if err != nil {
		return nil, err
	}
	if err := typedItems(tags, "Key", "Value"); err != nil {
		return nil, err
	}
	var calls []ActionCall
	if kind == "EC2" || isLater(kind) {
		calls = append(calls, whole("ec2", "CreateTags", map[string]any{"Resources": ids, "Tags": tags}))
	}
	if kind != "EC2" {
		calls = append(calls, whole("ssm", "AddTagsToResource", map[string]any{"ResourceType": kind, "ResourceId": ids[0], "Tags": tags}))
	}
	return calls, nil
}

func runCommandCalls(in givenInputs, _ string) ([]ActionCall, error) {
	if _, err := in.text("DocumentName"); err != nil {
		return nil, err
	}
	call := in.rest()
	switch {
	case in.has("Targets") && in.has("InstanceIds"):
		return nil, fmt.Errorf("InstanceIds and Targets are both given; one is wanted")
	case in.has("Targets"):
		if err := in.mapLists(call, "Targets"); err != nil {
			return nil, err
		}
	default:
		ids, err := in.list("InstanceIds", maxCommandInstances)
		if err != nil {
			return nil, err
		}
		call["InstanceIds"] = ids
	}
	if err := commandTypes(in, call); err != nil {
		return nil, err
	}
	end := partial("ssm", "CancelCommand")
	end.Cancel = true
	return []ActionCall{whole("ssm", "SendCommand", call), partial("ssm", "ListCommands"), partial("ssm", "ListCommandInvocations"), end}, nil
}

// commandTypes gives members the types that SendCommand takes: documents give the
// parameters of a command as texts, numbers and lists.
func commandTypes(in givenInputs, call map[string]any) error {
	if err := typed(call, TypeInteger, "TimeoutSeconds"); err != nil {
		return err
	}
	if err := typed(call, TypeString, "Comment", "MaxConcurrency", "MaxErrors", "DocumentVersion"); err != nil {
		return err
	}
	if cloud, ok := call["CloudWatchOutputConfig"].(map[string]any); ok {
		cloud = maps.Clone(cloud)
		if err := typed(cloud, TypeBoolean, "CloudWatchOutputEnabled"); err != nil {
			return err
		}
		call["CloudWatchOutputConfig"] = cloud
	}
	if !in.has("Parameters") {
		return nil
	}
	given, err := in.as("Parameters", TypeStringMap)
	if err != nil {
		return err
	}
	values, known := given.(map[string]any)
	if !known {
		return nil
	}
	parameters := make(map[string]any, len(values))
	for name, v := range values {
		if text, ok := v.(string); ok {
			parameters[name] = []any{text} // a text that looks like a list is a command too
			continue
		}
		if parameters[name], err = Coerce(v, TypeStringList); err != nil {
			return fmt.Errorf("Parameters.%.50s: %w", name, err)
		}
	}
	call["Parameters"] = parameters
	return nil
}

func createStackCalls(in givenInputs, token string) ([]ActionCall, error) {
	if _, err := in.text("StackName"); err != nil {
		return nil, err
	}
	call := in.rest()
	if err := typed(call, TypeBoolean, "DisableRollback", "EnableTerminationProtection", "RetainExceptOnCreate"); err != nil {
		return nil, err
	}
	if err := typed(call, TypeInteger, "TimeoutInMinutes"); err != nil {
		return nil, err
	}
	if err := typed(call, TypeStringList, "Capabilities", "NotificationARNs", "ResourceTypes"); err != nil {
		return nil, err
	}
	if err := in.mapLists(call, "Parameters", "Tags"); err != nil {
		return nil, err
	}
	for _, name := range []string{"Parameters", "Tags"} {
		items, _ := call[name].([]any)
		if err := typedItems(items, "ParameterKey", "ParameterValue", "Key", "Value"); err != nil {
			return nil, err
		}
	}
	if !in.has("ClientRequestToken") {
		call["ClientRequestToken"] = token
	}
	return []ActionCall{whole("cloudformation", "CreateStack", call), partial("cloudformation", "DescribeStacks")}, nil
}

func deleteStackCalls(in givenInputs, token string) ([]ActionCall, error) {
	name, err := in.text("StackName")
	if err != nil {
		return nil, err
	}
	call := in.rest("RetainResources.member.N") // as AWS's page spells it
	if in.has("RetainResources.member.N") {
		call["RetainResources"] = in["RetainResources.member.N"]
	}
	if err := typed(call, TypeStringList, "RetainResources"); err != nil {
		return nil, err
	}
	if !in.has("ClientRequestToken") {
		call["ClientRequestToken"] = token
	}
	// Read before and after: the second time by the stack's id.
	return []ActionCall{whole("cloudformation", "DescribeStacks", map[string]any{"StackName": name}), whole("cloudformation", "DeleteStack", call)}, nil
}

func lambdaCalls(in givenInputs, _ string) ([]ActionCall, error) {
	if _, err := in.text("FunctionName"); err != nil {
		return nil, err
	}
	if _, err := in.oneOf("InvocationType", "RequestResponse", "Event", "RequestResponse", "DryRun"); err != nil {
		return nil, err
	}
	call := in.rest("InputPayload")
	payload := in["Payload"]
	if in.has("InputPayload") {
		payload = in["InputPayload"]
	}
	if payload != nil {
		// As text: in planning it may hold what only applying will tell.
		text, err := Text(payload)
		if err != nil {
			return nil, fmt.Errorf("the payload is not JSON: %w", err)
		}
		call["Payload"] = text
	}
	return []ActionCall{whole("lambda", "Invoke", call)}, typed(call, TypeString, "Qualifier", "ClientContext")
}

func stateMachineCalls(in givenInputs, token string) ([]ActionCall, error) {
	if _, err := in.text("stateMachineArn"); err != nil {
		return nil, err
	}
	call := in.rest()
	if !in.has("name") {
		call["name"] = token
	}
	end := partial("stepfunctions", "StopExecution")
	end.Cancel = true
	return []ActionCall{whole("stepfunctions", "StartExecution", call), partial("stepfunctions", "DescribeExecution"), end}, typed(call, TypeString, "input")
}

func webhookCalls(in givenInputs, _ string) ([]ActionCall, error) {
	name, err := in.text("IntegrationName")
	if err != nil {
		return nil, err
	}
	if !integrationName(name) && !isLater(name) {
		return nil, fmt.Errorf("IntegrationName is no name of an integration: letters, digits, _ . - and at most 128 of them")
	}
	if in.has("Body") {
		if body, err := Text(in["Body"]); err != nil || len(body) > maxWebhookBody {
			return nil, fmt.Errorf("Body is needed as text of at most %d bytes", maxWebhookBody)
		}
	}
	return []ActionCall{whole("ssm", "GetParameter", map[string]any{"Name": integrationPrefix + name, "WithDecryption": true})}, nil
}

// integrationName holds a name to what can be no path to another parameter.
func integrationName(name string) bool {
	return name != "" && len(name) <= 128 && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-", r)
	}) < 0
}
