package app_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/fault"
)

const (
	closing = "schemaVersion: '0.3'\nmainSteps:\n  - {name: Close, action: 'aws:sleep', inputs: {Duration: PT1S}}\n"
	book    = `id: ID
title: A title
controls: [CONTROL]
resource: AwsS3Bucket
runbook: Close
risk: low
reads: [{name: policy, service: s3, operation: GetBucketPolicy}]
checks: [{name: c, read: policy, predicate: policy_not_public}]
`
)

func files(edit map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range map[string]string{
		"runbooks/Close/runbook.yaml": closing, "playbooks/b.yaml": named("B", "S3.2"), "playbooks/a.yaml": named("A", "S3.8"),
	} {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for name, text := range edit {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func named(id, control string) string {
	return strings.NewReplacer("ID", id, "CONTROL", control).Replace(book)
}

func TestLoadContent(t *testing.T) {
	t.Parallel()
	c, err := app.LoadContent(files(nil))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, pb := range c.Playbooks() {
		ids = append(ids, pb.ID)
	}
	if diff := cmp.Diff([]string{"A", "B"}, ids); diff != "" {
		t.Errorf("playbooks (-want +got):\n%s", diff)
	}
	if pb, ok := c.PlaybookFor("s3.2"); !ok || pb.ID != "B" {
		t.Errorf("playbook for s3.2: %q, %v", pb.ID, ok)
	}
	for _, control := range []string{"", "EC2.1"} {
		if pb, ok := c.PlaybookFor(control); ok {
			t.Errorf("playbook %s answers control %q", pb.ID, control)
		}
	}
	if _, ok := c.Playbook("C"); ok {
		t.Error("there is a playbook C")
	}
	pinned, doc, ok := c.Runbook("Close")
	if !ok || doc == nil || pinned.Name != "Close" || pinned.Content != closing || len(pinned.Revision) != 64 {
		t.Errorf("%v, runbook = %+v", ok, pinned)
	}
	if _, _, ok := c.Runbook("../Close"); ok {
		t.Error("a path names a runbook")
	}
}

func TestTheCatalogLoads(t *testing.T) {
	t.Parallel()
	c, err := app.LoadContent(catalog.FS)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.PlaybookFor("S3.8"); !ok {
		t.Error("no playbook answers S3.8")
	}
}

func TestLoadContentNamesTheFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit map[string]string
		want string
	}{
		"broken runbook":      {map[string]string{"runbooks/Close/runbook.yaml": "schemaVersion: '0.3'\n"}, "runbooks/Close/runbook.yaml: "},
		"broken playbook":     {map[string]string{"playbooks/a.yaml": "id: A\n"}, "playbooks/a.yaml: "},
		"runbook that is not": {map[string]string{"playbooks/a.yaml": strings.Replace(named("A", "S3.8"), "Close", "Open", 1)}, `playbooks/a.yaml names runbook "Open"`},
		"an id twice":         {map[string]string{"playbooks/c.yaml": named("A", "S3.9")}, `playbooks/c.yaml has the id "A" of another playbook`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := app.LoadContent(files(c.edit)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want … %s …", err, c.want)
			}
		})
	}
}
