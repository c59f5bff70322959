package runbook

import "slices"

// input describes an input of an action: what it takes, and whether the action
// cannot do without it.
type input struct {
	kind     inputKind
	required bool
}

type inputKind int

const (
	anyInput inputKind = iota
	textInput
	numberInput
	booleanInput
	listInput
	mapInput
)

// actionInputs are the inputs of the actions whose inputs Systems Manager's
// reference of actions lists. Those of API steps come from AWS's models, those of
// branch, loop and sleep have rules of their own.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html
var actionInputs = map[string]map[string]input{
	ActionApprove: {
		"NotificationArn": {kind: textInput}, "Message": {kind: textInput}, "MinRequiredApprovals": {kind: numberInput},
		"Approvers": {kind: listInput, required: true}, "EnhancedApprovals": {},
	},
	ActionChangeState: {
		"InstanceIds": {kind: listInput, required: true}, "CheckStateOnly": {kind: booleanInput},
		"DesiredState": {kind: textInput, required: true}, "Force": {kind: booleanInput}, "AdditionalInfo": {kind: textInput},
	},
	ActionCopyImage: {
		"SourceRegion": {kind: textInput, required: true}, "SourceImageId": {kind: textInput, required: true}, "ImageName": {kind: textInput, required: true},
		"ImageDescription": {kind: textInput}, "Encrypted": {kind: booleanInput}, "KmsKeyId": {kind: textInput}, "ClientToken": {kind: textInput},
	},
	ActionCreateImage: {
		"InstanceId": {kind: textInput, required: true}, "ImageName": {kind: textInput, required: true}, "ImageDescription": {kind: textInput},
		"NoReboot": {kind: booleanInput}, "BlockDeviceMappings": {},
	},
	ActionCreateStack: {
		"Capabilities": {kind: listInput}, "ClientRequestToken": {kind: textInput}, "DisableRollback": {kind: booleanInput},
		"NotificationARNs": {kind: listInput}, "OnFailure": {kind: textInput}, "Parameters": {}, "ResourceTypes": {kind: listInput},
		"RoleARN": {kind: textInput}, "StackName": {kind: textInput, required: true}, "StackPolicyBody": {kind: textInput},
		"StackPolicyURL": {kind: textInput}, "Tags": {}, "TemplateBody": {}, "TemplateURL": {kind: textInput}, "TimeoutInMinutes": {kind: numberInput},
	},
	ActionCreateTags: {
		"ResourceIds": {kind: listInput, required: true}, "Tags": {required: true}, "ResourceType": {kind: textInput},
	},
	ActionDeleteImage: {"ImageId": {kind: textInput, required: true}},
	ActionDeleteStack: {
		"ClientRequestToken": {kind: textInput}, "RoleARN": {kind: textInput}, "StackName": {kind: textInput, required: true}, "RetainResources": {kind: listInput},
	},
	ActionAutomation: {
		"DocumentName": {kind: textInput, required: true}, "DocumentVersion": {kind: textInput}, "MaxConcurrency": {}, "MaxErrors": {},
		"RuntimeParameters": {}, "Tags": {}, "TargetLocations": {}, "TargetMaps": {}, "TargetParameterName": {kind: textInput}, "Targets": {},
	},
	ActionScript: {
		"Runtime": {kind: textInput, required: true}, "Handler": {kind: textInput}, "InputPayload": {}, "Script": {kind: textInput}, "Attachment": {kind: textInput},
	},
	ActionStateMachine: {"stateMachineArn": {kind: textInput, required: true}, "name": {kind: textInput}, "input": {}},
	ActionLambda: {
		"FunctionName": {kind: textInput, required: true}, "Qualifier": {kind: textInput}, "InvocationType": {kind: textInput}, "LogType": {kind: textInput},
		"ClientContext": {kind: textInput}, "InputPayload": {}, "Payload": {},
	},
	ActionWebhook: {"IntegrationName": {kind: textInput, required: true}, "Body": {}},
	ActionPause:   {},
	ActionRunCommand: {
		"DocumentName": {kind: textInput, required: true}, "InstanceIds": {kind: listInput}, "Targets": {}, "Parameters": {}, "CloudWatchOutputConfig": {},
		"Comment": {kind: textInput}, "DocumentHash": {kind: textInput}, "DocumentHashType": {kind: textInput}, "DocumentVersion": {kind: textInput},
		"NotificationConfig": {}, "OutputS3BucketName": {kind: textInput}, "OutputS3KeyPrefix": {kind: textInput}, "OutputS3Region": {kind: textInput},
		"ServiceRoleArn": {kind: textInput}, "TimeoutSeconds": {}, "MaxConcurrency": {}, "MaxErrors": {},
	},
	ActionRunInstances: {
		"AdditionalInfo": {}, "BlockDeviceMappings": {}, "ClientToken": {kind: textInput}, "DisableApiTermination": {kind: booleanInput},
		"EbsOptimized": {kind: booleanInput}, "IamInstanceProfileArn": {kind: textInput}, "IamInstanceProfileName": {kind: textInput},
		"ImageId": {kind: textInput, required: true}, "InstanceInitiatedShutdownBehavior": {kind: textInput}, "InstanceType": {kind: textInput},
		"KernelId": {kind: textInput}, "KeyName": {kind: textInput}, "MaxInstanceCount": {kind: numberInput}, "MinInstanceCount": {kind: numberInput},
		"MetadataOptions": {}, "Monitoring": {}, "NetworkInterfaces": {}, "Placement": {}, "PrivateIpAddress": {kind: textInput}, "RamdiskId": {kind: textInput},
		"SecurityGroupIds": {}, "SecurityGroups": {}, "SubnetId": {kind: textInput}, "TagSpecifications": {}, "UserData": {kind: textInput},
	},
	ActionUpdateVariable: {"Name": {kind: textInput, required: true}, "Value": {required: true}},
}

// fits reports whether a written value can be an input of kind k. Text with a
// reference may become anything.
func (k inputKind) fits(n *node) bool {
	if text, ok := n.scalar.(string); ok && n.kind == scalarKind && ParseTemplate(text).HasReferences() {
		return true
	}
	switch k {
	case textInput:
		return n.kind == scalarKind
	case numberInput:
		_, ok := asInteger(n.scalar)
		return n.kind == scalarKind && ok
	case booleanInput:
		_, ok := asBoolean(n.scalar)
		return n.kind == scalarKind && ok
	case listInput:
		return n.kind == listKind
	case mapInput:
		return n.kind == mapKind
	}
	return true
}

func (k inputKind) String() string {
	return []string{"a value", "text", "a whole number", "true or false", "a list", "a map"}[k]
}

// outputType gives the type of an output of s: the declared one, else that of the
// action's own; known is false where neither tells.
func (s *Step) outputType(name string) (t Type, known bool) {
	if i := slices.IndexFunc(s.Outputs, func(o StepOutput) bool { return o.Name == name }); i >= 0 {
		return s.Outputs[i].Type, true
	}
	switch {
	case s.Loop != nil && name == "CurrentIteration":
		return TypeInteger, true
	case s.Loop != nil && name == "CurrentIteratorValue":
		return Type(s.Loop.DataType), true
	case s.Action == ActionAutomation && name == "Output", name == "InstanceIds", name == "InstanceStates":
		return TypeStringList, true
	case name == "ImageId", name == "ImageState", name == "StackId", name == "StackStatus", name == "CommandId", name == "ExecutionId",
		name == "NextStep", name == "ApprovalStatus", name == "Status":
		return TypeString, true
	}
	return "", false
}
