package ssm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/runbook"
)

// tagBucket is a document with parameters of several types and an attachment.
const tagBucket = `description: Tags a bucket.
schemaVersion: "0.3"
assumeRole: "{{ AutomationAssumeRole }}"
parameters:
  AutomationAssumeRole: {type: String, default: ""}
  Bucket: {type: "AWS::S3::Bucket::Name", description: Which bucket.}
  Color: {type: String, default: red, allowedValues: [red, green]}
  Regions: {type: StringList, default: [eu-central-1]}
outputs: [Look.Id]
files:
  helper.py:
    checksums: {sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
mainSteps:
  - name: Look
    action: aws:executeAwsApi
    timeoutSeconds: 30
    onFailure: step:Rest
    inputs: {Service: s3, Api: GetBucketTagging, Bucket: "{{ Bucket }}"}
    outputs: [{Name: Id, Selector: $.TagSet, Type: MapList}]
  - name: Rest
    action: aws:sleep
    inputs: {Duration: PT1S}
    isEnd: true
`

func create(name string) object {
	return object{"Name": name, "Content": tagBucket, "DocumentType": "Automation", "DocumentFormat": "YAML"}
}

func TestDocumentsComeAndGo(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	in := create("Tag-Bucket")
	in["VersionName"], in["Tags"] = "first", []object{{"Key": "team", "Value": "sec"}}
	got := ask(t, h, admin(), "CreateDocument", in)["DocumentDescription"].(object)
	want := object{
		"Name": "Tag-Bucket", "Hash": runbook.Revision([]byte(tagBucket)), "HashType": "Sha256", "Owner": hub, "Author": "ada", "CreatedDate": 1772366400.25,
		"Status": "Active", "DocumentVersion": "1", "LatestVersion": "1", "DefaultVersion": "1", "VersionName": "first", "Description": "Tags a bucket.",
		"DocumentFormat": "YAML", "DocumentType": "Automation", "SchemaVersion": "0.3", "PlatformTypes": []any{"Windows", "Linux", "MacOS"},
		"Tags": []any{object{"Key": "team", "Value": "sec"}}, "AttachmentsInformation": []any{object{"Name": "helper.py"}},
		"Parameters": []any{
			object{"Name": "AutomationAssumeRole", "Type": "String"},
			object{"Name": "Bucket", "Type": "String", "Description": "Which bucket."},
			object{"Name": "Color", "Type": "String", "DefaultValue": "red"},
			object{"Name": "Regions", "Type": "StringList", "DefaultValue": `["eu-central-1"]`},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	second := strings.Replace(tagBucket, "Tags a bucket.", "Tags one bucket.", 1)
	updated := ask(t, h, admin(), "UpdateDocument", object{"Name": "Tag-Bucket", "Content": second, "DocumentFormat": "YAML", "DocumentVersion": "$LATEST"})["DocumentDescription"].(object)
	if updated["DocumentVersion"] != "2" || updated["LatestVersion"] != "2" || updated["DefaultVersion"] != "1" {
		t.Errorf("%v", updated)
	}
	reader := as("rita", auth.RoleReader, dev)
	for version, text := range map[string]string{"": tagBucket, "$DEFAULT": tagBucket, "$LATEST": second, "1": tagBucket, "2": second} {
		in := object{"Name": "arn:aws:ssm:eu-central-1:" + hub + ":document/Tag-Bucket"}
		if version != "" {
			in["DocumentVersion"] = version
		}
		if got := ask(t, h, reader, "GetDocument", in); got["Content"] != text || got["DocumentFormat"] != "YAML" {
			t.Errorf("version %q: %v", version, got)
		}
	}
	if got := ask(t, h, reader, "GetDocument", object{"Name": "Tag-Bucket", "VersionName": "first"}); got["DocumentVersion"] != "1" {
		t.Errorf("%v", got)
	}
	moved := ask(t, h, admin(), "UpdateDocumentDefaultVersion", object{"Name": "Tag-Bucket", "DocumentVersion": "2"})
	if diff := cmp.Diff(object{"Description": object{"Name": "Tag-Bucket", "DefaultVersion": "2"}}, moved); diff != "" {
		t.Error(diff)
	}
	if got := ask(t, h, reader, "DescribeDocument", object{"Name": "Tag-Bucket"})["Document"].(object); got["DocumentVersion"] != "2" || got["Description"] != "Tags one bucket." {
		t.Errorf("%v", got)
	}
	ask(t, h, admin(), "DeleteDocument", object{"Name": "Tag-Bucket", "DocumentVersion": "1"})
	ask(t, h, admin(), "DeleteDocument", object{"Name": "Tag-Bucket"})
	refused(t, h, reader, "GetDocument", object{"Name": "Tag-Bucket"}, "InvalidDocument")
	var actions []string
	for _, a := range w.audits {
		actions = append(actions, a.Actor+" "+a.Action+" "+a.Object)
	}
	if diff := cmp.Diff([]string{
		"ada document.created Tag-Bucket", "ada document.updated Tag-Bucket", "ada document.default_version Tag-Bucket", "ada document.deleted Tag-Bucket", "ada document.deleted Tag-Bucket",
	}, actions); diff != "" {
		t.Error(diff)
	}
}

func TestDocumentsAreRefused(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	ask(t, h, admin(), "CreateDocument", create("Tag-Bucket"))
	with := func(more object) object {
		in := create("Other")
		for k, v := range more {
			in[k] = v
		}
		return in
	}
	for _, c := range []struct {
		operation string
		in        object
		code      string
		words     string
	}{
		{"CreateDocument", create("Tag-Bucket"), "DocumentAlreadyExists", "Tag-Bucket"},
		{"CreateDocument", create("Parry-Shipped"), "ValidationException", "must not begin with Parry"},
		{"CreateDocument", create("a b"), "ValidationException", "Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern"},
		{"CreateDocument", object{"Name": "Other"}, "ValidationException", "Value null at 'content' failed to satisfy constraint: Member must not be null"},
		{"CreateDocument", with(object{"Content": 7}), "SerializationException", "content is a number and should be text"},
		{"CreateDocument", with(object{"DocumentFormat": nil}), "InvalidDocumentContent", "JSON not well-formed"},
		{"CreateDocument", with(object{"DocumentFormat": "TEXT"}), "InvalidDocumentContent", "YAML and JSON"},
		{"CreateDocument", with(object{"DocumentFormat": "XML"}), "ValidationException", "enum value set: [YAML, JSON, TEXT]"},
		{"CreateDocument", with(object{"DocumentType": "Command"}), "InvalidDocumentContent", "type Automation only"},
		{"CreateDocument", with(object{"Content": strings.Replace(tagBucket, "step:Rest", "step:Nowhere", 1)}), "InvalidDocumentContent", "line 17, column 16: mainSteps[0].onFailure: there is no step"},
		{"CreateDocument", with(object{"Content": strings.Replace(tagBucket, `"0.3"`, `"2.2"`, 1)}), "InvalidDocumentSchemaVersion", "0.3"},
		{"CreateDocument", with(object{"Content": strings.Repeat("# x\n", 300_000)}), "MaxDocumentSizeExceeded", "the limit is 1048576"},
		{"CreateDocument", with(object{"Attachments": []object{{"Key": "SourceUrl", "Values": []string{"https://s3.amazonaws.com/b/k"}}}}), "InvalidDocumentContent", "does not fetch attachments from S3"},
		{"CreateDocument", with(object{"Attachments": []object{{"Key": "AttachmentReference", "Values": []string{"Tag-Bucket/1/other.py"}, "Name": "other.py"}}}), "InvalidDocumentContent", "has no attachment other.py"},
		{"UpdateDocument", object{"Name": "Nothing", "Content": tagBucket, "DocumentFormat": "YAML"}, "InvalidDocument", "does not exist"},
		{"UpdateDocument", object{"Name": "Parry-Shipped", "Content": tagBucket, "DocumentFormat": "YAML"}, "InvalidDocumentOperation", "comes with Parry"},
		{"UpdateDocument", object{"Name": "Tag-Bucket", "Content": tagBucket, "DocumentFormat": "YAML"}, "DuplicateDocumentContent", "Version 1"},
		{"UpdateDocument", object{"Name": "Tag-Bucket", "Content": tagBucket + "\n", "DocumentFormat": "YAML", "DocumentVersion": "7"}, "InvalidDocumentVersion", "Give $LATEST"},
		{"UpdateDocumentDefaultVersion", object{"Name": "Tag-Bucket", "DocumentVersion": "9"}, "InvalidDocumentVersion", "no version 9"},
		{"DeleteDocument", object{"Name": "Tag-Bucket", "DocumentVersion": "1"}, "InvalidDocumentOperation", "default version"},
		{"DeleteDocument", object{"Name": "Parry-Shipped"}, "InvalidDocumentOperation", "comes with Parry"},
		{"GetDocument", object{"Name": "Tag-Bucket", "DocumentVersion": "2"}, "InvalidDocumentVersion", "no version 2"},
		{"GetDocument", object{"Name": "Tag-Bucket", "VersionName": "none"}, "InvalidDocumentVersion", "no version none"},
		{"GetDocument", object{"Name": "Tag-Bucket", "DocumentFormat": "TEXT"}, "InvalidDocument", "formats YAML and JSON"},
		{"GetDocument", object{"Name": "Parry-Shipped", "DocumentVersion": "2"}, "InvalidDocumentVersion", "no version 2"},
		{"ListDocumentVersions", object{"Name": "Nothing"}, "InvalidDocument", "does not exist"},
		{"ListDocuments", object{"Filters": []object{{"Key": "Color", "Values": []string{"red"}}}}, "InvalidFilterKey", "Valid keys"},
		{"ListDocuments", object{"NextToken": "abc"}, "InvalidNextToken", "without NextToken"},
		{"ListDocuments", object{"MaxResults": 51}, "ValidationException", "less than or equal to 50"},
		{"ListTagsForResource", object{"ResourceType": "Parameter", "ResourceId": "x"}, "InvalidResourceType", "Document only"},
		{"ListTagsForResource", object{"ResourceType": "Document", "ResourceId": "Nothing"}, "InvalidResourceId", "no document"},
		{"AddTagsToResource", object{"ResourceType": "Document", "ResourceId": "Parry-Shipped", "Tags": []object{{"Key": "a", "Value": "b"}}}, "InvalidResourceId", "comes with Parry"},
		{"PutParameter", object{"Name": "x", "Value": "y"}, "UnknownOperationException", "It answers AddTagsToResource"},
	} {
		if got := refused(t, h, admin(), c.operation, c.in, c.code); !strings.Contains(got, c.words) {
			t.Errorf("%s %v: %s; want %q", c.operation, c.in["Name"], got, c.words)
		}
	}
}

func TestDocumentLimits(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	for i := range 20 {
		ask(t, h, admin(), "CreateDocument", create(fmt.Sprintf("Doc-%02d", i)))
	}
	refused(t, h, admin(), "CreateDocument", create("Doc-20"), "DocumentLimitExceeded")
	for i := range 4 {
		ask(t, h, admin(), "UpdateDocument", object{"Name": "Doc-00", "Content": tagBucket + strings.Repeat("\n", i+1), "DocumentFormat": "YAML", "VersionName": fmt.Sprint("v", i)})
	}
	refused(t, h, admin(), "UpdateDocument", object{"Name": "Doc-00", "Content": tagBucket + "# more\n", "DocumentFormat": "YAML", "VersionName": "v0"}, "DuplicateDocumentVersionName")
	refused(t, h, admin(), "UpdateDocument", object{"Name": "Doc-00", "Content": tagBucket + "# more\n", "DocumentFormat": "YAML"}, "DocumentVersionLimitExceeded")
}

// TestDocumentRights: documents concern the whole installation.
func TestDocumentRights(t *testing.T) {
	t.Parallel()
	w, h := setup(t)
	ask(t, h, admin(), "CreateDocument", create("Tag-Bucket"))
	writes := map[string]object{
		"CreateDocument": create("Mine"), "UpdateDocument": {"Name": "Tag-Bucket", "Content": tagBucket + "\n", "DocumentFormat": "YAML"},
		"UpdateDocumentDefaultVersion": {"Name": "Tag-Bucket", "DocumentVersion": "1"}, "DeleteDocument": {"Name": "Tag-Bucket"},
		"AddTagsToResource":      {"ResourceType": "Document", "ResourceId": "Tag-Bucket", "Tags": []object{{"Key": "a", "Value": "b"}}},
		"RemoveTagsFromResource": {"ResourceType": "Document", "ResourceId": "Tag-Bucket", "TagKeys": []string{"a"}},
	}
	for operation, in := range writes {
		for _, c := range []struct {
			who      auth.Role
			accounts []string
		}{{auth.RoleOperator, []string{auth.All}}, {auth.RoleApprover, []string{auth.All}}, {auth.RoleReader, []string{auth.All}}, {auth.RoleAdmin, []string{dev}}, {auth.RoleSource, []string{auth.All}}} {
			refused(t, h, as("eve", c.who, c.accounts...), operation, in, "AccessDeniedException")
		}
	}
	for operation, in := range map[string]object{
		"GetDocument": {"Name": "Tag-Bucket"}, "DescribeDocument": {"Name": "Tag-Bucket"}, "ListDocuments": {}, "ListDocumentVersions": {"Name": "Tag-Bucket"},
		"ListTagsForResource": {"ResourceType": "Document", "ResourceId": "Tag-Bucket"},
	} {
		refused(t, h, as("eve", auth.RoleSource, auth.All), operation, in, "AccessDeniedException")
		ask(t, h, as("rita", auth.RoleReader, dev), operation, in)
	}
	if len(w.audits) != 1 || len(w.documents) != 1 {
		t.Errorf("%d audits, %d documents", len(w.audits), len(w.documents))
	}
}

func TestListDocuments(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	for _, name := range []string{"Alpha", "Beta", "Parrx", "Zeta"} {
		in := create(name)
		in["Tags"] = []object{{"Key": "first", "Value": name[:1]}}
		ask(t, h, admin(), "CreateDocument", in)
	}
	rita := as("rita", auth.RoleReader, dev)
	names := func(in object) []string {
		var out []string
		for range 10 {
			page := ask(t, h, rita, "ListDocuments", in)
			for _, d := range page["DocumentIdentifiers"].([]any) {
				out = append(out, d.(object)["Name"].(string))
			}
			next, _ := page["NextToken"].(string)
			if next == "" {
				return out
			}
			in["NextToken"] = next
		}
		t.Fatal("no end")
		return nil
	}
	filter := func(key string, values ...string) object {
		return object{"Filters": []object{{"Key": key, "Values": values}}, "MaxResults": 2}
	}
	for name, c := range map[string]struct {
		in   object
		want []string
	}{
		"all":     {object{"MaxResults": 1}, []string{"Alpha", "Beta", "Parrx", "Parry-Shipped", "Zeta"}},
		"self":    {filter("Owner", "Self"), []string{"Alpha", "Beta", "Parrx", "Zeta"}},
		"amazon":  {filter("Owner", "Amazon"), []string{"Parry-Shipped"}},
		"prefix":  {filter("Name", "Parr", "Al"), []string{"Alpha", "Parrx", "Parry-Shipped"}},
		"tag":     {filter("tag:first", "B", "Z"), []string{"Beta", "Zeta"}},
		"keyword": {filter("SearchKeyword", "comes with"), []string{"Parry-Shipped"}},
		"type":    {filter("DocumentType", "Command"), nil},
		"legacy":  {object{"DocumentFilterList": []object{{"key": "Name", "value": "Ze"}}}, []string{"Zeta"}},
	} {
		if diff := cmp.Diff(c.want, names(c.in)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	first := ask(t, h, rita, "ListDocuments", object{"MaxResults": 1})["NextToken"]
	refused(t, h, rita, "ListDocuments", object{"MaxResults": 1, "NextToken": first, "Filters": []object{{"Key": "Owner", "Values": []string{"Self"}}}}, "InvalidNextToken")
	refused(t, h, as("rex", auth.RoleReader, prod), "ListDocuments", object{"NextToken": first}, "InvalidNextToken")
	refused(t, h, rita, "DescribeAutomationExecutions", object{"NextToken": first}, "InvalidNextToken")
}

func TestListDocumentVersions(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	ask(t, h, admin(), "CreateDocument", create("Tag-Bucket"))
	for i := range 3 {
		ask(t, h, admin(), "UpdateDocument", object{"Name": "Tag-Bucket", "Content": tagBucket + strings.Repeat("\n", i+1), "DocumentFormat": "YAML"})
	}
	var got []string
	in := object{"Name": "Tag-Bucket", "MaxResults": 3}
	for range 3 {
		page := ask(t, h, admin(), "ListDocumentVersions", in)
		for _, v := range page["DocumentVersions"].([]any) {
			got = append(got, fmt.Sprint(v.(object)["DocumentVersion"], v.(object)["IsDefaultVersion"]))
		}
		next, ok := page["NextToken"]
		if !ok {
			break
		}
		in["NextToken"] = next
	}
	if diff := cmp.Diff([]string{"4false", "3false", "2false", "1true"}, got); diff != "" {
		t.Error(diff)
	}
	if all := ask(t, h, admin(), "ListDocumentVersions", object{"Name": "Parry-Shipped"})["DocumentVersions"].([]any); len(all) != 1 {
		t.Errorf("%v", all)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	ask(t, h, admin(), "CreateDocument", create("Tag-Bucket"))
	resource := object{"ResourceType": "Document", "ResourceId": "Tag-Bucket"}
	with := func(key string, v any) object {
		return object{"ResourceType": "Document", "ResourceId": "Tag-Bucket", key: v}
	}
	ask(t, h, admin(), "AddTagsToResource", with("Tags", []object{{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}}))
	ask(t, h, admin(), "AddTagsToResource", with("Tags", []object{{"Key": "b", "Value": "3"}}))
	if diff := cmp.Diff(object{"TagList": []any{object{"Key": "a", "Value": "1"}, object{"Key": "b", "Value": "3"}}}, ask(t, h, admin(), "ListTagsForResource", resource)); diff != "" {
		t.Error(diff)
	}
	ask(t, h, admin(), "RemoveTagsFromResource", with("TagKeys", []string{"a", "none"}))
	if diff := cmp.Diff(object{"TagList": []any{object{"Key": "b", "Value": "3"}}}, ask(t, h, admin(), "ListTagsForResource", resource)); diff != "" {
		t.Error(diff)
	}
	many := make([]object, 50)
	for i := range many {
		many[i] = object{"Key": fmt.Sprint("k", i), "Value": "v"}
	}
	refused(t, h, admin(), "AddTagsToResource", with("Tags", many), "TooManyTagsError")
}

// TestFormats: a document is read back in either notation, with the same meaning.
func TestFormats(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	ask(t, h, admin(), "CreateDocument", create("Yaml"))
	asJSON := ask(t, h, admin(), "GetDocument", object{"Name": "Yaml", "DocumentFormat": "JSON"})
	if !json.Valid([]byte(asJSON["Content"].(string))) || asJSON["DocumentFormat"] != "JSON" {
		t.Fatalf("%v", asJSON)
	}
	ask(t, h, admin(), "CreateDocument", object{"Name": "Json", "Content": asJSON["Content"], "DocumentType": "Automation"})
	back := ask(t, h, admin(), "GetDocument", object{"Name": "Json", "DocumentFormat": "YAML"})["Content"].(string)
	if json.Valid([]byte(back)) {
		t.Error("it is JSON still")
	}
	var prints []string
	for _, text := range []string{tagBucket, asJSON["Content"].(string), back} {
		doc, err := runbook.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		raw, err := doc.JSON()
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, string(raw))
	}
	if prints[0] != prints[1] || prints[0] != prints[2] {
		t.Errorf("%s", cmp.Diff(prints[0], prints[2]))
	}
}
