package awsapi_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
)

// instances answers ec2:DescribeInstances for two instances.
type instances struct{ reads int }

func (s *instances) Send(_ context.Context, _ awsapi.Credentials, c apimodel.Call) (apimodel.Reply, error) {
	if c.Input["DryRun"] == true {
		return apimodel.Reply{}, &apimodel.APIError{Service: "ec2", Operation: c.Operation, Code: "DryRunOperation", HTTPStatus: 412}
	}
	if c.Operation != "DescribeInstances" {
		return apimodel.Reply{Output: map[string]any{"Account": hub}}, nil
	}
	s.reads++
	list := []any{}
	asked, some := c.Input["InstanceIds"].([]any)
	for _, id := range []string{"i-1", "i-2"} {
		if !some || slices.Contains(asked, any(id)) {
			list = append(list, map[string]any{"InstanceId": id, "MetadataOptions": map[string]any{"HttpTokens": "optional", "HttpEndpoint": "enabled"}})
		}
	}
	return apimodel.Reply{Output: map[string]any{"Reservations": []any{map[string]any{"Instances": list}}}}, nil
}

func instancesCall(op string, input map[string]any) apimodel.Call {
	return apimodel.Call{Service: "ec2", Operation: op, Account: member, Region: region, Input: input}
}

// TestReadsOfManySeeThePlannedChange holds that a read which shows the changed
// resource among others is answered with the change, and no other read is.
func TestReadsOfManySeeThePlannedChange(t *testing.T) {
	t.Parallel()
	aws := &instances{}
	p := newWorld(t, func(c *awsapi.Config) { c.Sender = aws }).gate.Planning(as, awsapi.PlanOptions{})
	call := func(op string, input map[string]any) map[string]any {
		t.Helper()
		r, err := p.Call(t.Context(), op, instancesCall(op, input))
		if err != nil {
			t.Fatal(err)
		}
		return r.Output
	}
	tokens := func(out map[string]any) map[string]any {
		got := map[string]any{}
		for _, r := range out["Reservations"].([]any) {
			for _, i := range r.(map[string]any)["Instances"].([]any) {
				m := i.(map[string]any)
				got[m["InstanceId"].(string)] = m["MetadataOptions"].(map[string]any)["HttpTokens"]
			}
		}
		return got
	}
	call("ModifyInstanceMetadataOptions", map[string]any{"InstanceId": "i-2", "HttpTokens": "required"})
	if diff := cmp.Diff(map[string]any{"i-1": "optional", "i-2": "required"}, tokens(call("DescribeInstances", nil))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"i-2": "required"}, tokens(call("DescribeInstances", map[string]any{"InstanceIds": []any{"i-2"}}))); diff != "" {
		t.Error(diff)
	}
	if aws.reads != 2 {
		t.Errorf("%d reads: the before-image's read is not made twice", aws.reads)
	}
	calls := p.Calls()
	if got := calls[0]; got.Inverse != "ec2:ModifyInstanceMetadataOptions" || got.Resource != "arn:aws:ec2:"+region+":"+member+":instance/i-2 (instance metadata options)" {
		t.Errorf("planned %+v", got)
	}

	// A member that the table does not know: what the instance will be cannot be
	// told, and only reads that show it say so.
	call("ModifyInstanceMetadataOptions", map[string]any{"InstanceId": "i-2", "HttpTokens": "optional", "MetadataOptionsX": "y"})
	if got := p.Calls()[3]; !got.Irreversible {
		t.Errorf("planned %+v", got)
	}
	if out := call("DescribeInstances", nil); !p.IsUnknown(out) {
		t.Errorf("got %v", out)
	}
	if out := call("DescribeInstances", map[string]any{"InstanceIds": []any{"i-1"}}); p.IsUnknown(out) {
		t.Errorf("got %v", out)
	}
}
