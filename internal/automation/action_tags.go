package automation

import "context"

// createTags is aws:createTags: ec2:CreateTags, or ssm:AddTagsToResource for one
// managed instance, maintenance window or parameter.
//
// AWS's page: automation-action-createtag.html.
func createTags() task {
	return task{begin: func(ctx context.Context, d *doing) error {
		_, err := d.first(ctx, nil)
		return err
	}}
}
