package apimodel_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

func exists(data map[string]any) apimodel.Image { return apimodel.Image{Exists: true, Data: data} }

func permission(port int, ranges ...any) map[string]any {
	return map[string]any{"IpProtocol": "tcp", "FromPort": float64(port), "ToPort": float64(port), "IpRanges": ranges}
}

func cidr(block, description string) map[string]any {
	m := map[string]any{"CidrIp": block}
	if description != "" {
		m["Description"] = description
	}
	return m
}

// inverseOf gives operation and input of every call of the way back.
func inverseOf(t *testing.T, c apimodel.Call, before apimodel.Image) (calls []map[string]any, restores string) {
	t.Helper()
	list, restores := specOf(t, c).Inverse(before)
	for _, i := range list {
		calls = append(calls, map[string]any{i.Operation: i.Input})
	}
	return calls, restores
}

func TestSetChangesUndoOnlyWhatTheyDid(t *testing.T) {
	t.Parallel()
	before := exists(map[string]any{"IpPermissions": []any{permission(443, cidr("0.0.0.0/0", "web"), cidr("10.0.0.0/8", ""))}})
	add := call("ec2:AuthorizeSecurityGroupIngress", map[string]any{"GroupId": "sg-1", "IpPermissions": []any{
		permission(443, cidr("10.0.0.0/8", ""), cidr("192.168.0.0/16", "")),
	}})
	calls, _ := inverseOf(t, add, before)
	atom := map[string]any{"IpProtocol": "tcp", "FromPort": int64(443), "ToPort": int64(443), "IpRanges": []any{cidr("192.168.0.0/16", "")}}
	if diff := cmp.Diff([]map[string]any{{"RevokeSecurityGroupIngress": map[string]any{"GroupId": "sg-1", "IpPermissions": []any{atom}}}}, calls); diff != "" {
		t.Errorf("the rule that was there before must stay:\n%s", diff)
	}
	remove := call("ec2:RevokeSecurityGroupIngress", map[string]any{"GroupId": "sg-1", "IpPermissions": []any{
		permission(443, cidr("0.0.0.0/0", "")), permission(22, cidr("0.0.0.0/0", "")),
	}})
	calls, _ = inverseOf(t, remove, before)
	atom["IpRanges"] = []any{cidr("0.0.0.0/0", "web")}
	if diff := cmp.Diff([]map[string]any{{"AuthorizeSecurityGroupIngress": map[string]any{"GroupId": "sg-1", "IpPermissions": []any{atom}}}}, calls); diff != "" {
		t.Errorf("only what was there comes back, with its description:\n%s", diff)
	}
	spec := specOf(t, remove)
	after, known := spec.Expected(before)
	grouped := exists(map[string]any{"IpPermissions": []any{permission(443, cidr("10.0.0.0/8", ""))}})
	if !known || !spec.Equal(after, grouped) {
		t.Errorf("expected %+v", after)
	}
	nothing := call("iam:AttachRolePolicy", map[string]any{"RoleName": "r", "PolicyArn": "arn:a"})
	calls, restores := inverseOf(t, nothing, exists(map[string]any{"AttachedPolicies": []any{map[string]any{"PolicyArn": "arn:a", "PolicyName": "a"}}}))
	if len(calls) != 0 || restores == "" {
		t.Errorf("a call that changes nothing has an empty way back: %v, %q", calls, restores)
	}
}

func TestMapsAreSetsOfKeyAndValue(t *testing.T) {
	t.Parallel()
	c := call("sqs:SetQueueAttributes", map[string]any{"QueueUrl": "https://q/1/jobs", "Attributes": map[string]any{"VisibilityTimeout": "60", "Policy": "{}"}})
	before := exists(map[string]any{"Attributes": map[string]any{"VisibilityTimeout": "30", "DelaySeconds": "0"}})
	after, known := specOf(t, c).Expected(before)
	want := map[string]any{"Attributes": map[string]any{"VisibilityTimeout": "60", "Policy": "{}", "DelaySeconds": "0"}}
	if diff := cmp.Diff(want, after.Data); diff != "" || !known {
		t.Error(diff)
	}
	calls, _ := inverseOf(t, c, before)
	if diff := cmp.Diff([]map[string]any{
		{"SetQueueAttributes": map[string]any{"QueueUrl": "https://q/1/jobs", "Attributes": map[string]any{"Policy": ""}}},
		{"SetQueueAttributes": map[string]any{"QueueUrl": "https://q/1/jobs", "Attributes": map[string]any{"VisibilityTimeout": "30"}}},
	}, calls); diff != "" {
		t.Error(diff)
	}
	if got := specOf(t, c).ARN(); got != "arn:aws:sqs:eu-west-1:111122223333:jobs" {
		t.Errorf("got %s", got)
	}
}

func TestUpdatesRestoreWhatTheyName(t *testing.T) {
	t.Parallel()
	db := func(in map[string]any) apimodel.Call {
		in["DBInstanceIdentifier"] = "db"
		return call("rds:ModifyDBInstance", in)
	}
	before := exists(map[string]any{
		"BackupRetentionPeriod": float64(1), "PubliclyAccessible": true,
		"VpcSecurityGroups": []any{map[string]any{"VpcSecurityGroupId": "sg-1", "Status": "active"}},
	})
	c := db(map[string]any{"BackupRetentionPeriod": int64(7), "MultiAZ": true, "VpcSecurityGroupIds": []any{"sg-2"}})
	spec := specOf(t, c)
	after, known := spec.Expected(before)
	want := exists(map[string]any{
		"BackupRetentionPeriod": float64(7), "PubliclyAccessible": true, "MultiAZ": true,
		"VpcSecurityGroups": []any{map[string]any{"VpcSecurityGroupId": "sg-2"}},
	})
	if diff := spec.Diff(want, after); len(diff) > 0 || !known {
		t.Errorf("%+v", diff)
	}
	calls, _ := inverseOf(t, c, before)
	if diff := cmp.Diff([]map[string]any{{"ModifyDBInstance": map[string]any{
		"DBInstanceIdentifier": "db", "BackupRetentionPeriod": int64(1), "MultiAZ": false, "VpcSecurityGroupIds": []any{"sg-1"}, "ApplyImmediately": true,
	}}}, calls); diff != "" {
		t.Error(diff)
	}
	for name, in := range map[string]map[string]any{
		"a member that the row does not know":       {"MasterUserPassword": "new"},
		"a member that was not there, no default":   {"PreferredBackupWindow": "01:00-02:00"},
		"one of both beside a member that is known": {"MultiAZ": true, "StorageType": "gp3"},
	} {
		if calls, restores := inverseOf(t, db(in), before); restores != "" {
			t.Errorf("%s: there is no way back, got %v", name, calls)
		}
	}
	if _, known := specOf(t, db(map[string]any{"MasterUserPassword": "new"})).Expected(before); known {
		t.Error("the effect of an unknown member is told")
	}
}

func TestImageOfOneInAList(t *testing.T) {
	t.Parallel()
	spec := specOf(t, call("ec2:ModifyInstanceMetadataOptions", map[string]any{"InstanceId": "i-2", "HttpTokens": "required"}))
	instance := func(id, tokens string) map[string]any {
		return map[string]any{"InstanceId": id, "MetadataOptions": map[string]any{"HttpTokens": tokens}}
	}
	reply := apimodel.Reply{Output: map[string]any{"Reservations": []any{
		map[string]any{"Instances": []any{instance("i-1", "optional")}},
		map[string]any{"Instances": []any{instance("i-2", "optional")}},
	}}}
	img, err := spec.ImageFrom(reply, nil)
	if diff := cmp.Diff(exists(map[string]any{"MetadataOptions": map[string]any{"HttpTokens": "optional"}}), img); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	after, _ := spec.Expected(img)
	got, err := spec.Answer(spec.ReadCall(), after, reply)
	want := map[string]any{"Reservations": []any{
		map[string]any{"Instances": []any{instance("i-1", "optional")}},
		map[string]any{"Instances": []any{instance("i-2", "required")}},
	}}
	if diff := cmp.Diff(want, got.Output); diff != "" || err != nil {
		t.Error(diff, err)
	}
	all := apimodel.Call{Service: "ec2", Operation: "DescribeInstances", Account: "111122223333", Region: "eu-west-1"}
	elsewhere := all
	elsewhere.Region = "us-east-1"
	if !spec.Shows(all) || spec.Shows(elsewhere) || !spec.Holds(reply) || spec.Holds(apimodel.Reply{}) {
		t.Error("a read of all instances of the region shows the change, others do not")
	}
	if img, err := spec.ImageFrom(apimodel.Reply{Output: map[string]any{}}, nil); img.Exists || err != nil {
		t.Errorf("got %+v, %v", img, err)
	}
	if _, err := spec.ImageFrom(apimodel.Reply{Output: map[string]any{"NextToken": "more"}}, nil); err == nil {
		t.Error("an absence on the first of several pages is believed")
	}
	if _, ok := apimodel.ImageOf(call("ec2:AuthorizeSecurityGroupIngress", map[string]any{"GroupName": "default"})); ok {
		t.Error("a call that does not name its resource has a row")
	}
}

func TestReadFollowsPages(t *testing.T) {
	t.Parallel()
	spec := specOf(t, call("iam:AttachRolePolicy", map[string]any{"RoleName": "r", "PolicyArn": "arn:c"}))
	pages := map[any]map[string]any{
		nil: {"AttachedPolicies": []any{map[string]any{"PolicyArn": "arn:a"}}, "IsTruncated": true, "Marker": "2"},
		"2": {"AttachedPolicies": []any{map[string]any{"PolicyArn": "arn:b"}}, "IsTruncated": false},
	}
	var asked []any
	img, err := spec.ImageFrom(spec.Read(func(c apimodel.Call) (apimodel.Reply, error) {
		asked = append(asked, c.Input["Marker"])
		return apimodel.Reply{Output: pages[c.Input["Marker"]]}, nil
	}))
	want := exists(map[string]any{"AttachedPolicies": []any{map[string]any{"PolicyArn": "arn:a"}, map[string]any{"PolicyArn": "arn:b"}}})
	if diff := cmp.Diff(want, img); diff != "" || err != nil || len(asked) != 2 {
		t.Errorf("asked %v: %v\n%s", asked, err, diff)
	}
	if _, err := spec.ImageFrom(apimodel.Reply{Output: pages[nil]}, nil); err == nil {
		t.Error("half a set is believed")
	}
}

// What is opaque may be made again only where the table says so, when the call has
// nothing that the table does not know, and when nobody else was there meanwhile.
func TestMayRepeat(t *testing.T) {
	t.Parallel()
	one := []any{"i-1"}
	at := func(state, launched string) apimodel.Image {
		return exists(map[string]any{"State": map[string]any{"Name": state}, "LaunchTime": launched})
	}
	stop, start := map[string]any{"InstanceIds": one, "Force": true}, map[string]any{"InstanceIds": one}
	for name, tt := range map[string]struct {
		call        string
		in          map[string]any
		before, now apimodel.Image
		want        bool
	}{
		"stop, as before":          {"ec2:StopInstances", stop, at("running", "1"), at("running", "1"), true},
		"stop, on the way":         {"ec2:StopInstances", stop, at("running", "1"), at("stopping", "1"), true},
		"stop, done":               {"ec2:StopInstances", stop, at("running", "1"), at("stopped", "1"), true},
		"stop, started again":      {"ec2:StopInstances", stop, at("running", "1"), at("running", "2"), false},
		"stop, being started":      {"ec2:StopInstances", stop, at("running", "1"), at("pending", "2"), false},
		"stop, being terminated":   {"ec2:StopInstances", stop, at("running", "1"), at("shutting-down", "1"), false},
		"stop, terminated":         {"ec2:StopInstances", stop, at("running", "1"), at("terminated", "1"), false},
		"stop, gone":               {"ec2:StopInstances", stop, at("running", "1"), apimodel.Image{}, false},
		"start, as before":         {"ec2:StartInstances", start, at("stopped", "1"), at("stopped", "1"), true},
		"start, done":              {"ec2:StartInstances", start, at("stopped", "1"), at("running", "2"), true},
		"start, stopped again":     {"ec2:StartInstances", start, at("stopped", "1"), at("stopped", "2"), false},
		"start, being stopped":     {"ec2:StartInstances", start, at("stopped", "1"), at("stopping", "2"), false},
		"stop with another way":    {"ec2:StopInstances", map[string]any{"InstanceIds": one, "Hibernate": true}, at("running", "1"), at("running", "1"), false},
		"what the table says not":  {"ec2:MonitorInstances", start, at("running", "1"), at("running", "1"), false},
		"a start of an older save": {"ec2:StartInstances", start, exists(map[string]any{"State": map[string]any{"Name": "stopped"}}), at("stopped", "1"), false},
	} {
		if got := specOf(t, call(tt.call, tt.in)).MayRepeat(tt.before, tt.now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Tags of a call are elements for each of its resources, taken back one by one.
func TestTagsOfSeveralResources(t *testing.T) {
	t.Parallel()
	tag := func(id, key, value string) map[string]any {
		return map[string]any{"ResourceId": id, "ResourceType": "instance", "Key": key, "Value": value}
	}
	before := exists(map[string]any{"Tags": []any{tag("i-1", "Stage", "dev"), tag("i-2", "Owner", "me"), tag("i-2", "Stage", "prod")}})
	spec := specOf(t, call("ec2:CreateTags", map[string]any{"Resources": []any{"i-1", "i-2"}, "Tags": []any{map[string]any{"Key": "Stage", "Value": "prod"}, map[string]any{"Key": "Owner", "Value": "me"}}}))
	after, known := spec.Expected(before)
	if !known || !spec.Equal(after, exists(map[string]any{"Tags": []any{tag("i-2", "Owner", "me"), tag("i-1", "Stage", "prod"), tag("i-2", "Stage", "prod"), tag("i-1", "Owner", "me")}})) {
		t.Errorf("%+v, known %v", after, known)
	}
	if again, known := spec.Expected(after); !known || !spec.Equal(again, after) {
		t.Error("tags that are put twice are put once")
	}
	inverse, restores := spec.Inverse(before)
	got := []string{}
	for _, c := range inverse {
		got = append(got, fmt.Sprint(c.Operation, c.Input))
	}
	want := []string{
		"DeleteTags" + fmt.Sprint(map[string]any{"Resources": []any{"i-1"}, "Tags": []any{map[string]any{"Key": "Owner", "Value": "me"}}}),
		"CreateTags" + fmt.Sprint(map[string]any{"Resources": []any{"i-1"}, "Tags": []any{map[string]any{"Key": "Stage", "Value": "dev"}}}),
	}
	if diff := cmp.Diff(want, got); diff != "" || restores == "" {
		t.Errorf("%q %s", restores, diff)
	}
	if spec.Resource() != "arn:aws:ec2:eu-west-1:111122223333:*/i-1,i-2 (tags)" {
		t.Error(spec.Resource())
	}
	many := make([]any, 201)
	for i := range many {
		many[i] = fmt.Sprint("i-", i)
	}
	if _, ok := apimodel.ImageOf(call("ec2:CreateTags", map[string]any{"Resources": many, "Tags": []any{}})); ok {
		t.Error("more resources than DescribeTags filters by have a row")
	}
}

// What waits for a maintenance window is what the members will be, and what a plan
// answers a read with says so in one place.
func TestPendingMembersAreTheImage(t *testing.T) {
	t.Parallel()
	spec := specOf(t, call("rds:ModifyDBInstance", map[string]any{"DBInstanceIdentifier": "db", "MultiAZ": true}))
	db := func(now bool, later map[string]any) apimodel.Reply {
		return apimodel.Reply{Output: map[string]any{"DBInstances": []any{map[string]any{"DBInstanceIdentifier": "db", "MultiAZ": now, "PendingModifiedValues": later}}}}
	}
	asked, err := spec.ImageFrom(db(false, map[string]any{"MultiAZ": true, "Port": int64(1)}), nil)
	if err != nil || asked.Data["MultiAZ"] != true {
		t.Fatalf("%+v, %v", asked, err)
	}
	before, err := spec.ImageFrom(db(false, map[string]any{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if after, known := spec.Expected(before); !known || !spec.Equal(after, asked) {
		t.Errorf("a standby that is to come is not what was asked for: %+v", after)
	}
	if calls, _ := spec.Inverse(before); len(calls) != 1 || calls[0].Input["MultiAZ"] != false || calls[0].Input["ApplyImmediately"] != true {
		t.Errorf("back by %+v", calls)
	}
	shown, err := spec.Answer(spec.ReadCall(), before, db(false, map[string]any{"MultiAZ": true, "Port": int64(1)}))
	if again, _ := spec.ImageFrom(shown, err); !spec.Equal(again, before) {
		t.Errorf("a plan answers %+v", shown.Output)
	}
}

// Where AWS fills in what a call leaves out, the effect is known only of a call that
// names all that is there.
func TestWholeEffects(t *testing.T) {
	t.Parallel()
	before := exists(map[string]any{"DistributionConfig": map[string]any{"Comment": "a", "Logging": map[string]any{"Enabled": false, "Bucket": ""}}})
	for name, tt := range map[string]struct {
		config map[string]any
		want   bool
	}{
		"all of it":        {map[string]any{"Comment": "b", "Logging": map[string]any{"Enabled": true, "Bucket": "x"}, "HttpVersion": "http2"}, true},
		"a member less":    {map[string]any{"Comment": "b"}, false},
		"a member's less":  {map[string]any{"Comment": "b", "Logging": map[string]any{"Enabled": true}}, false},
		"another's member": {map[string]any{"Comment": "b", "Logging": "x"}, false},
	} {
		spec := specOf(t, call("cloudfront:UpdateDistribution", map[string]any{"Id": "E1", "IfMatch": "e", "DistributionConfig": tt.config}))
		after, known := spec.Expected(before)
		if known != tt.want || known && !spec.Equal(after, exists(map[string]any{"DistributionConfig": tt.config})) {
			t.Errorf("%s: %+v, known %v", name, after, known)
		}
		if _, restores := spec.Inverse(before); restores == "" {
			t.Errorf("%s: no way back", name)
		}
	}
	create := specOf(t, call("config:PutConfigurationRecorder", map[string]any{"ConfigurationRecorder": map[string]any{"name": "default", "roleARN": "r"}}))
	if _, known := create.Expected(apimodel.Image{}); known {
		t.Error("what AWS fills in for a new recorder is taken for known")
	}
}

func TestEndingsAndMootMembers(t *testing.T) {
	t.Parallel()
	logging := specOf(t, call("redshift:EnableLogging", map[string]any{"ClusterIdentifier": "c", "BucketName": "b", "S3KeyPrefix": "x"}))
	at := func(prefix string) apimodel.Image {
		return exists(map[string]any{"LoggingEnabled": true, "BucketName": "b", "S3KeyPrefix": prefix})
	}
	if !logging.Equal(at("x"), at("x/")) || logging.Equal(at("x"), at("y/")) || logging.Equal(at(""), at("x/")) {
		t.Error("a prefix is compared with its slash")
	}
	rotate := specOf(t, call("secretsmanager:RotateSecret", map[string]any{"SecretId": "s"}))
	rotation := func(on bool, arn string) apimodel.Image {
		return exists(map[string]any{"RotationEnabled": on, "RotationLambdaARN": arn})
	}
	if !rotate.Equal(rotation(false, "a"), exists(map[string]any{})) || rotate.Equal(rotation(true, "a"), rotation(true, "b")) || rotate.Equal(rotation(true, "a"), rotation(false, "a")) {
		t.Error("a function that rotates nothing means nothing; one that does means all")
	}
	if _, known := rotate.Expected(rotation(false, "a")); known {
		t.Error("a rotation at once puts a value in that nobody knows")
	}
}
