package ssm_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// start is a good request with more put over it; nil takes a member away.
func start(more object) object {
	in := object{"DocumentName": "Tag-Bucket", "Parameters": object{"Bucket": []string{"my-bucket"}}}
	maps.Copy(in, more)
	return in
}

// ready gives a world with a document.
func ready(t testing.TB) (*world, *ssm.Handler) {
	t.Helper()
	w, h := setup(t)
	ask(t, h, admin(), "CreateDocument", create("Tag-Bucket"))
	return w, h
}

func TestStart(t *testing.T) {
	t.Parallel()
	w, h := ready(t)
	id := ask(t, h, as("olga", auth.RoleOperator, dev), "StartAutomationExecution", start(object{
		"DocumentVersion": "$LATEST", "ClientToken": uuid1, "MaxConcurrency": "10%", "MaxErrors": "0", "TargetParameterName": "Bucket",
		"Targets": []object{{"Key": "tag:team", "Values": []string{"sec"}}}, "Tags": []object{{"Key": "why", "Value": "test"}},
	}))["AutomationExecutionId"].(string)
	want := remediation.Run{
		Execution: id, Document: remediation.Runbook{Name: "Tag-Bucket", Revision: runbook.Revision([]byte(tagBucket)), Content: tagBucket}, Version: "1",
		Parameters: map[string]any{"Bucket": []any{"my-bucket"}}, Account: dev, Region: "eu-central-1", Mode: "Auto", Tags: map[string]string{"why": "test"},
		ClientToken: uuid1, TargetParameterName: "Bucket", Targets: []map[string]any{{"Key": "tag:team", "Values": []any{"sec"}}}, MaxConcurrency: "10%", MaxErrors: "0",
	}
	if diff := cmp.Diff([]remediation.Run{want}, w.runs); diff != "" {
		t.Error(diff)
	}
}

// TestPlaceOfARun: the account of the tag, of the role, of the key, of the hub.
func TestPlaceOfARun(t *testing.T) {
	t.Parallel()
	role := func(account string) object {
		return object{"Parameters": object{"Bucket": []string{"my-bucket"}, "AutomationAssumeRole": []string{"arn:aws:iam::" + account + ":role/Fixer"}}}
	}
	tagged := func(account string, more object) object {
		out := object{"Tags": []object{{"Key": ssm.AccountTag, "Value": account}}}
		maps.Copy(out, more)
		return out
	}
	everywhere, inDev := as("olga", auth.RoleOperator, auth.All), as("olga", auth.RoleOperator, dev)
	inBoth := as("olga", auth.RoleOperator, dev, prod)
	child := as("olga", auth.RoleOperator, dev)
	child.Parent = &ssm.Parent{Execution: uuid2, Account: dev, Depth: 1}
	for name, c := range map[string]struct {
		caller      ssm.Caller
		in          object
		account     string
		role, words string
	}{
		"hub":                  {everywhere, nil, hub, "", ""},
		"tag":                  {everywhere, tagged(dev, nil), dev, "", ""},
		"role":                 {everywhere, role(prod), prod, "arn:aws:iam::" + prod + ":role/Fixer", ""},
		"key":                  {inDev, nil, dev, "", ""},
		"key, role of its own": {inDev, role(dev), dev, "arn:aws:iam::" + dev + ":role/Fixer", ""},
		"parent":               {child, nil, dev, "", ""},
		"tag and foreign role": {everywhere, tagged(dev, role(prod)), "", "", "is of another account"},
		"foreign role":         {inDev, role(prod), "", "", "may not do execution.start on account"},
		"foreign tag":          {inDev, tagged(prod, nil), "", "", "may not do execution.start on account"},
		"two accounts":         {inBoth, nil, "", "", "tag parry:account"},
		"odd tag":              {everywhere, tagged("everything", nil), "", "", "12-digit account id"},
		"parent, foreign role": {child, role(prod), "", "", "is of another account"},
		"no role": {
			everywhere,
			object{"Parameters": object{"Bucket": []string{"my-bucket"}, "AutomationAssumeRole": []string{"root"}}},
			"", "", "is not the ARN of a role",
		},
	} {
		for operation, in := range map[string]object{"StartAutomationExecution": start(c.in), "StartExecutionPreview": previewed(start(c.in))} {
			t.Run(operation+" "+name, func(t *testing.T) {
				t.Parallel()
				w, h := ready(t)
				asked := ""
				w.mayStart = func(p auth.Principal, document, account, role string) error {
					asked = p.Name + " " + document + " " + account + " " + role
					return nil
				}
				_, err := try(t, h, c.caller, operation, in)
				switch {
				case c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)):
					t.Fatalf("%v, want %q", err, c.words)
				case c.words != "":
					if len(w.runs) > 0 {
						t.Error("it was started")
					}
					return
				case err != nil:
					t.Fatal(err)
				}
				if got := w.runs[0].Account; got != c.account {
					t.Errorf("account %s", got)
				}
				if want := "olga Tag-Bucket " + c.account + " " + c.role; asked != want {
					t.Errorf("asked for %q, want %q", asked, want)
				}
			})
		}
	}
}

// previewed words a start as a preview, which has no tags: Parry's own stand among the
// parameters.
func previewed(in object) object {
	parameters := maps.Clone(in["Parameters"].(object))
	tags, _ := in["Tags"].([]object)
	for _, t := range tags {
		parameters[t["Key"].(string)] = []string{t["Value"].(string)}
	}
	return object{"DocumentName": in["DocumentName"], "ExecutionInputs": object{"Automation": object{"Parameters": parameters}}}
}

func TestStartIsRefused(t *testing.T) {
	t.Parallel()
	w, h := ready(t)
	const bad = "InvalidAutomationExecutionParametersException"
	at := func(location object) object { return object{"TargetLocations": []object{location}} }
	target := func(key string, values ...string) object {
		return object{"TargetParameterName": "Bucket", "Targets": []object{{"Key": key, "Values": values}}}
	}
	regions := []string{"eu-central-1"}
	for name, c := range map[string]struct {
		in    object
		code  string
		words string
	}{
		"no document":      {object{"DocumentName": "Nothing"}, "AutomationDefinitionNotFoundException", "Nothing"},
		"no version":       {object{"DocumentVersion": "9"}, "AutomationDefinitionVersionNotFoundException", "no version 9"},
		"odd version":      {object{"DocumentVersion": "0"}, "ValidationException", "regular expression pattern"},
		"missing":          {object{"Parameters": object{"Color": []string{"red"}}}, bad, "Missing required parameter: Bucket in user inputs."},
		"unknown":          {object{"Parameters": object{"Bucket": []string{"my-bucket"}, "Size": []string{"1"}}}, bad, `"Size" is not defined`},
		"not allowed":      {object{"Parameters": object{"Bucket": []string{"my-bucket"}, "Color": []string{"blue"}}}, bad, `Parameter "Color" has value "blue" not found in [red, green].`},
		"pattern":          {object{"Parameters": object{"Bucket": []string{"My Bucket"}}}, bad, "does not match"},
		"no list":          {object{"Parameters": object{"Bucket": "my-bucket"}}, "SerializationException", "should be a list"},
		"long name":        {object{"Parameters": object{strings.Repeat("n", 51): []string{"x"}}}, "ValidationException", "less than or equal to 50"},
		"no token":         {object{"ClientToken": "abc"}, "ValidationException", "clientToken"},
		"mode":             {object{"Mode": "Fast"}, "ValidationException", "[Auto, Interactive]"},
		"alarm":            {object{"AlarmConfiguration": object{"Alarms": []object{{"Name": "a"}}}}, bad, "watches no CloudWatch alarms"},
		"locations in S3":  {object{"TargetLocationsURL": "https://b.s3.amazonaws.com/k"}, bad, "Give the file's content as TargetLocations"},
		"both":             {object{"TargetParameterName": "Bucket", "Targets": []object{{"Key": "tag:a", "Values": []string{"b"}}}, "TargetMaps": []object{{"Bucket": []string{"b"}}}}, bad, "not both"},
		"no target name":   {object{"Targets": []object{{"Key": "tag:a", "Values": []string{"b"}}}}, bad, "TargetParameterName is required"},
		"other target":     {object{"TargetParameterName": "Size", "Targets": []object{{"Key": "tag:a", "Values": []string{"b"}}}}, bad, "Size is not defined"},
		"target key":       {target("Color", "red"), bad, "Target key can have only following values"},
		"target values":    {target("ParameterValues"), "InvalidTarget", "no values"},
		"instances":        {target("AWS::EC2::Instance", "i-1"), "InvalidTarget", "*"},
		"two tags":         {object{"TargetParameterName": "Bucket", "Targets": []object{{"Key": "tag:a", "Values": []string{"b"}}, {"Key": "tag:c", "Values": []string{"d"}}}}, bad, "Only one resource group or tag"},
		"rate alone":       {object{"MaxErrors": "1"}, bad, "need Targets"},
		"concurrency":      {object{"MaxConcurrency": "0"}, "ValidationException", "maxConcurrency"},
		"location alone":   {at(object{"Regions": regions}), bad, "targetLocations[0]: Accounts is required"},
		"location region":  {at(object{"Accounts": []string{dev}, "Regions": []string{"../etc"}}), bad, "not the name of a region"},
		"location account": {at(object{"Accounts": []string{"12345678901"}, "Regions": regions}), bad, "neither an account id nor"},
		"location's alarm": {
			at(object{"Accounts": []string{dev}, "Regions": regions, "TargetLocationAlarmConfiguration": object{"Alarms": []object{{"Name": "a"}}}}),
			bad, "targetLocations[0]: Parry watches no CloudWatch alarms",
		},
		"too many tags":  {object{"Tags": manyTags(51)}, "TooManyTagsError", "50"},
		"zero character": {object{"Parameters": object{"Bucket": []string{"my\x00bucket"}}}, "ValidationException", "zero characters"},
	} {
		if got := refused(t, h, admin(), "StartAutomationExecution", start(c.in), c.code); !strings.Contains(got, c.words) {
			t.Errorf("%s: %s; want %q", name, got, c.words)
		}
	}
	if len(w.runs) > 0 {
		t.Errorf("%d runs were started", len(w.runs))
	}
}

func manyTags(n int) []object {
	out := make([]object, n)
	for i := range out {
		out[i] = object{"Key": fmt.Sprint("k", i), "Value": "v"}
	}
	return out
}

func TestClientToken(t *testing.T) {
	t.Parallel()
	w, h := ready(t)
	id := func(c ssm.Caller, in object) any {
		return ask(t, h, c, "StartAutomationExecution", in)["AutomationExecutionId"]
	}
	olga, otto := as("olga", auth.RoleOperator, dev), as("otto", auth.RoleOperator, dev)
	first := id(olga, start(object{"ClientToken": uuid1}))
	ask(t, h, admin(), "UpdateDocument", object{"Name": "Tag-Bucket", "Content": tagBucket + "\n", "DocumentFormat": "YAML"})
	if again := id(olga, start(object{"ClientToken": uuid1})); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	refused(t, h, olga, "StartAutomationExecution", start(object{"ClientToken": uuid1, "Parameters": object{"Bucket": []string{"other-bucket"}}}), "IdempotentParameterMismatch")
	if other := id(otto, start(object{"ClientToken": uuid1})); other == first {
		t.Error("one person's token gave another's execution")
	}
	if len(w.runs) != 2 {
		t.Errorf("%d runs", len(w.runs))
	}
}

// TestStartRights: who may start a document on what, units included.
func TestStartRights(t *testing.T) {
	t.Parallel()
	w, h := ready(t)
	const unit = "ou-abcd-12345678"
	at := func(accounts ...string) object {
		return start(object{"TargetLocations": []object{{"Accounts": accounts, "Regions": []string{"eu-west-1"}, "ExecutionRoleName": "Runner"}}})
	}
	for _, role := range []auth.Role{auth.RoleReader, auth.RoleApprover, auth.RoleSource} {
		refused(t, h, as("eve", role, auth.All), "StartAutomationExecution", start(nil), "AccessDeniedException")
		refused(t, h, as("eve", role, auth.All), "StartExecutionPreview", object{"DocumentName": "Tag-Bucket"}, "AccessDeniedException")
	}
	refused(t, h, as("olga", auth.RoleOperator, dev), "StartAutomationExecution", at(dev, prod), "AccessDeniedException")
	for _, named := range []string{unit, "r-ab12", "prod/payments", "tag:stage=prod"} {
		refused(t, h, as("olga", auth.RoleOperator, dev), "StartAutomationExecution", at(named), "AccessDeniedException")
	}
	child := as("olga", auth.RoleOperator, auth.All)
	child.Parent = &ssm.Parent{Execution: uuid2, Account: dev}
	refused(t, h, child, "StartAutomationExecution", at(prod), "AccessDeniedException")
	child.Parent.Depth = ssm.MaxDepth
	refused(t, h, child, "StartAutomationExecution", start(nil), "AutomationExecutionLimitExceededException")
	var asked []string
	w.mayStart = func(_ auth.Principal, _, account, role string) error {
		asked = append(asked, account+" "+role)
		if account == prod {
			return fault.Errorf(fault.Denied, "start document", "not listed").WithHint("list it under documents in parry.yaml")
		}
		return nil
	}
	if got := refused(t, h, admin(), "StartAutomationExecution", at(dev, prod), "AccessDeniedException"); !strings.Contains(got, "list it under documents") {
		t.Error(got)
	}
	ask(t, h, admin(), "StartAutomationExecution", at(unit, "prod/payments"))
	if diff := cmp.Diff([]string{
		hub + " ", dev + " arn:aws:iam::" + dev + ":role/Runner", prod + " arn:aws:iam::" + prod + ":role/Runner", hub + " ", "* arn:aws:iam::*:role/Runner", "* arn:aws:iam::*:role/Runner",
	}, asked); diff != "" {
		t.Error(diff)
	}
	asked = nil
	ask(t, h, admin(), "StartAutomationExecution", start(object{"TargetLocations": []object{{"Accounts": []string{dev}, "Regions": []string{"eu-west-1"}}}}))
	if diff := cmp.Diff([]string{hub + " ", dev + " "}, asked); diff != "" {
		t.Errorf("a location without a role is run as the member role: %s", diff)
	}
	if len(w.runs) != 2 {
		t.Errorf("%d runs", len(w.runs))
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	w, h := ready(t)
	olga := as("olga", auth.RoleOperator, dev)
	id := ask(t, h, olga, "StartExecutionPreview", object{
		"DocumentName": "Tag-Bucket", "ExecutionInputs": object{"Automation": object{"Parameters": object{"Bucket": []string{"my-bucket"}}}},
	})["ExecutionPreviewId"]
	if !w.runs[0].Preview {
		t.Fatal("it is a run")
	}
	get := func() object { return ask(t, h, olga, "GetExecutionPreview", object{"ExecutionPreviewId": id}) }
	if got := get(); got["Status"] != "InProgress" {
		t.Errorf("%v", got)
	}
	e := w.executions[id.(string)]
	plan := remediation.Plan{Open: true, OpenReason: "a branch on an unknown value", Calls: []remediation.PlannedCall{
		{Step: "Look", Service: "s3", Operation: "GetBucketTagging", Account: dev, Region: "eu-central-1", Class: "read"},
		{Step: "Look#2", Service: "s3", Operation: "PutBucketTagging", Account: dev, Region: "eu-west-1", Class: "change"},
	}}
	w.states[e.Remediation] = remediation.Remediation{ID: e.Remediation, State: remediation.Cancelled, PlanHash: "hash", UpdatedAt: w.now}
	w.plans["hash"] = plan
	want := object{
		"ExecutionPreviewId": id, "EndedAt": 1772366400.25, "Status": "Success",
		"StatusMessage": "1 changes are planned; every call: parry plan show " + string(e.Remediation) + ". Planning could not go on to the end: a branch on an unknown value",
		"ExecutionPreview": object{"Automation": object{
			"StepPreviews": object{"Mutating": 1.0, "NonMutating": 1.0}, "Regions": []any{"eu-central-1", "eu-west-1"}, "TargetPreviews": []any{}, "TotalAccounts": 1.0,
		}},
	}
	if diff := cmp.Diff(want, get()); diff != "" {
		t.Error(diff)
	}
	w.states[e.Remediation] = remediation.Remediation{ID: e.Remediation, State: remediation.Failed, Reason: "the bucket is not there", UpdatedAt: w.now}
	if got := get(); got["Status"] != "Failed" || got["StatusMessage"] != "the bucket is not there" {
		t.Errorf("%v", got)
	}
	refused(t, h, as("rex", auth.RoleReader, prod), "GetExecutionPreview", object{"ExecutionPreviewId": id}, "ResourceNotFoundException")
	refused(t, h, olga, "GetExecutionPreview", object{"ExecutionPreviewId": uuid2}, "ResourceNotFoundException")
	refused(t, h, olga, "GetAutomationExecution", object{"AutomationExecutionId": id}, "AutomationExecutionNotFoundException")
	if got := refused(t, h, olga, "StartExecutionPreview", object{"DocumentName": "Tag-Bucket"}, "ValidationException"); !strings.Contains(got, "Missing required parameter") {
		t.Error(got)
	}
	two := object{"Automation": object{"Parameters": object{"Bucket": []string{"my-bucket"}, "parry:account": []string{dev, prod}}}}
	if got := refused(t, h, olga, "StartExecutionPreview", object{"DocumentName": "Tag-Bucket", "ExecutionInputs": two}, "ValidationException"); !strings.Contains(got, "Give it one value") {
		t.Error(got)
	}
	started := ask(t, h, olga, "StartAutomationExecution", start(nil))["AutomationExecutionId"]
	refused(t, h, olga, "GetExecutionPreview", object{"ExecutionPreviewId": started}, "ResourceNotFoundException")
	if all := ask(t, h, olga, "DescribeAutomationExecutions", object{})["AutomationExecutionMetadataList"].([]any); len(all) != 1 {
		t.Errorf("%d executions", len(all))
	}
}
