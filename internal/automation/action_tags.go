package automation

import (
	"context"

	"github.com/parry-security/parry/internal/runbook"
)

// maxTagged is what one CreateTags takes.
const maxTagged = 1000

// createTags is aws:createTags: ec2:CreateTags, or ssm:AddTagsToResource for one
// managed instance, maintenance window or parameter.
//
// AWS's page: automation-action-createtag.html.
func createTags() task {
	return task{begin: beginCreateTags}
}

func beginCreateTags(ctx context.Context, d *doing) error {
	kind, err := d.in.oneOf("ResourceType", "EC2", "EC2", "ManagedInstance", "MaintenanceWindow", "Parameter")
	if err != nil {
		return err
	}
	limit := 1
	if kind == "EC2" {
		limit = maxTagged
	}
	ids, err := d.in.list("ResourceIds", limit)
	if err != nil {
		return err
	}
	if !d.in.has("Tags") {
		return badInput("Tags is required")
	}
	tags, err := d.in.maps("Tags")
	if err != nil {
		return err
	}
	for i, item := range tags {
		tag, _ := item.(map[string]any)
		if err := typed(tag, runbook.TypeString, "Key", "Value"); err != nil {
			return err
		}
		tags[i] = tag
	}
	if kind == "EC2" {
		_, err = d.do(ctx, order{service: "ec2", operation: "CreateTags", input: map[string]any{"Resources": ids, "Tags": tags}})
		return err
	}
	_, err = d.do(ctx, order{service: "ssm", operation: "AddTagsToResource", input: map[string]any{"ResourceType": kind, "ResourceId": ids[0], "Tags": tags}})
	return err
}
