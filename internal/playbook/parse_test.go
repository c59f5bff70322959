package playbook_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/playbook"
)

const good = `id: S3.8
title: Close a bucket
controls: [S3.8, s3.8]
resource: AwsS3Bucket
runbook: Close
risk: low
impact: none
reversible: true
reads:
  - {name: policy, service: s3, operation: GetBucketPolicy, input: {Bucket: resource.name}, absent: [NoSuchBucketPolicy]}
parameters:
  Bucket: {resource: name}
  Action: {derive: policy_action, from: policy}
  Mode: {value: strict}
checks:
  - {name: not public, read: policy, predicate: policy_not_public}
  - {name: versioned, read: policy, selector: $.Status, equals: Enabled}
note: Closed.
`

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := playbook.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Revision) != 64 {
		t.Errorf("revision = %q", p.Revision)
	}
	p.Revision = ""
	want := playbook.Playbook{
		ID: "S3.8", Title: "Close a bucket", Controls: []string{"S3.8", "s3.8"}, Resource: "AwsS3Bucket", Runbook: "Close", Risk: "low", Impact: "none", Reversible: true,
		Reads: []playbook.Read{{Name: "policy", Service: "s3", Operation: "GetBucketPolicy", Input: map[string]any{"Bucket": "resource.name"}, Absent: []string{"NoSuchBucketPolicy"}}},
		Parameters: map[string]playbook.Source{
			"Bucket": {Resource: "name"}, "Action": {Derive: "policy_action", From: "policy"}, "Mode": {Value: "strict"},
		},
		Checks: []playbook.Check{
			{Name: "not public", Read: "policy", Predicate: "policy_not_public"},
			{Name: "versioned", Read: "policy", Selector: "$.Status", Equals: "Enabled"},
		},
		Note: "Closed.",
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("playbook (-want +got):\n%s", diff)
	}
}

func TestTheRevisionIsTheFiles(t *testing.T) {
	t.Parallel()
	a, err := playbook.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	b, err := playbook.Parse([]byte(good + "# a comment\n"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Revision == b.Revision {
		t.Error("another file has the same revision")
	}
}

func TestParseNamesThePlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, with, want string }{
		"empty file":                {good, "", "the file is empty"},
		"too long":                  {"note: Closed.", "note: " + strings.Repeat("x", playbook.MaxSize), "the limit is 65536"},
		"no YAML":                   {good, "id: [", "line 1"},
		"unknown key":               {"risk: low", "risks: low", "line 6: field risks not found"},
		"two documents":             {"note: Closed.", "note: Closed.\n---\nid: S3.9", "more than one YAML document"},
		"no id":                     {"id: S3.8", "id: ''", "id is empty"},
		"no title":                  {"title: Close a bucket", "title: ' '", "title is empty"},
		"no runbook":                {"runbook: Close", "runbook:", "runbook is empty"},
		"no resource":               {"resource: AwsS3Bucket", "resource:", "resource is empty"},
		"no controls":               {"[S3.8, s3.8]", "[]", "controls is empty"},
		"a blank control":           {"[S3.8, s3.8]", "[S3.8, '']", "controls[1] is empty"},
		"unknown risk":              {"risk: low", "risk: none", `risk "none" is not low, medium or high`},
		"long note":                 {"note: Closed.", "note: " + strings.Repeat("ä", 513), "note has 513 characters"},
		"read without operation":    {"operation: GetBucketPolicy, ", "", "reads[0] needs a name of its own"},
		"read twice":                {"parameters:", "  - {name: policy, service: s3, operation: GetBucketAcl}\nparameters:", "reads[1] needs a name of its own"},
		"unknown field of resource": {"resource.name", "resource.owner", "reads[0].input.Bucket: resource.owner is not known; known are name"},
		"two sources":               {"{resource: name}", "{resource: name, value: x}", "parameters.Bucket: give exactly one of"},
		"no source":                 {"{resource: name}", "{}", "parameters.Bucket: give exactly one of"},
		"source of nothing":         {"{resource: name}", "{resource: owner}", "parameters.Bucket: resource.owner is not known"},
		"unknown derivation":        {"derive: policy_action", "derive: magic", `parameters.Action: derive "magic" is not known; known are at_least, current`},
		"derived from nothing":      {"from: policy}", "from: acl}", `parameters.Action: from "acl" names no read`},
		"from without derive":       {"{value: strict}", "{value: strict, from: policy}", "parameters.Mode: from, selector and with belong to derive"},
		"no checks":                 {good[strings.Index(good, "checks:"):], "note: x\n", "checks is empty"},
		"check without a name":      {"name: not public, ", "", "checks[0]: name is empty"},
		"check of nothing":          {"read: policy, predicate", "read: acl, predicate", `checks[0]: read "acl" names no read`},
		"no test":                   {", predicate: policy_not_public", "", "checks[0]: give exactly one of"},
		"two tests":                 {"selector: $.Status", "predicate: acl_not_public, selector: $.Status", "checks[1]: give exactly one of"},
		"selector without equals":   {", equals: Enabled", "", "checks[1]: selector needs equals"},
		"predicate with equals":     {"policy_not_public}", "policy_not_public, equals: 'true'}", "checks[0]: selector needs equals"},
		"unknown predicate":         {"policy_not_public", "magic", `checks[0]: predicate "magic" is not known; known are acl_not_public`},
		"broken selector":           {"$.Status", "'$.Status['", "checks[1]: selector"},
		"two comparisons":           {"equals: Enabled", "equals: Enabled, at_least: 3", "checks[1]: selector needs equals, at_least"},
		"argument of a selector":    {"equals: Enabled", "equals: Enabled, with: '1'", "checks[1]: with belongs to predicate"},
		"predicate with argument":   {"predicate: policy_not_public}", "predicate: policy_not_public, with: '1'}", "takes an argument with: false"},
		"predicate without it":      {"predicate: policy_not_public}", "predicate: port_not_open}", "takes an argument with: true"},
		"derivation with argument":  {"from: policy}", "from: policy, with: '1'}", "takes an argument with: false"},
		"derivation without one":    {"derive: policy_action, from: policy}", "derive: at_least, from: policy}", "takes a selector: true"},
		"excuse of nothing":         {"equals: Enabled", "equals: Enabled, unless: [{read: acl, selector: $.A, equals: b}]", `checks[1]: unless[0]: read "acl" names no read`},
		"excuse without a value":    {"equals: Enabled", "equals: Enabled, unless: [{read: policy, selector: $.A}]", "unless[0] needs selector and equals"},
		"a deferred read":           {"absent:", "deferred: true, absent:", `names no read`},
		"nothing but fixed":         {good[strings.Index(good, "checks:"):], "checks: [{name: f, read: policy, predicate: policy_not_public, fixed: true}]\n", "every check is fixed"},
		"broken applies":            {"parameters:", "applies: [{name: a, read: acl, predicate: policy_not_public}]\nparameters:", `applies[0]: read "acl" names no read`},
		"fixed applies":             {"parameters:", "applies: [{name: a, read: policy, predicate: policy_not_public, fixed: true}]\nparameters:", "applies[0]: fixed and unless belong to checks"},
		"sweep per what":            {"note: Closed.", "sweep: {per: bucket}", `sweep.per "bucket" is not region or account`},
		"sweep of nothing":          {"note: Closed.", "sweep: {per: region}", "sweep.list is missing"},
		"sweep without an ARN":      {"note: Closed.", "sweep: {per: region, list: {service: s3, operation: ListBuckets, items: Buckets}}", "sweep.list needs service"},
		"sweep with an open brace":  {"note: Closed.", "sweep: {per: region, list: {service: s3, operation: ListBuckets, items: Buckets, arn: 'arn:{Name'}}", "a { without a }"},
		"sweep as nothing":          {"note: Closed.", "sweep: {per: region, list: {service: s3, operation: ListBuckets, items: Buckets, arn: a, as: b}}", `sweep.list.as "b" names no read`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(good, c.old) {
				t.Fatalf("%q is not in the good playbook", c.old)
			}
			_, err := playbook.Parse([]byte(strings.Replace(good, c.old, c.with, 1)))
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want … %s …", err, c.want)
			}
		})
	}
}

// FuzzParse holds that no file makes the parser fail, and that what it takes
// can be used: the calls are built and the checks decide.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	names, err := fs.Glob(catalog.FS, "playbooks/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		raw, err := fs.ReadFile(catalog.FS, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, s := range []string{"", "a: &a [*a]", "id: !!binary aGk=", "checks:\n  - {selector: '$..[?(@.a=~/(a*)*b/)]'}", "reads: {}", "---\n---\n"} {
		f.Add([]byte(s))
	}
	r, err := playbook.NewResource("AwsS3Bucket", "arn:aws:s3:::b", "111122223333", "us-east-1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := playbook.Parse(raw)
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Errorf("what was taken does not hold: %v", err)
		}
		for _, read := range p.Reads {
			if _, err := read.Call(r); err != nil {
				t.Errorf("calls: %v", err)
			}
		}
		if got := p.Verify(playbook.Readings{}); len(got) != len(p.Checks) && (len(got) != 1 || len(p.Applies) == 0) {
			t.Errorf("%d results of %d checks", len(got), len(p.Checks))
		}
	})
}
