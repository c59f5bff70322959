package automation

import (
	"context"
	"fmt"
)

// maxSnapshots bounds the snapshots of one image.
const maxSnapshots = 100

// createImage is aws:createImage: an image of an instance, waited for until it is
// available.
//
// AWS's page: automation-action-create.html.
func createImage() task {
	return task{outputs: []string{"ImageId", "ImageState"}, begin: makeImage, look: lookImage}
}

// copyImage is aws:copyImage: an image copied into the region of the execution,
// waited for until it is available. Without a ClientToken the gate gives one that
// a restart gives again.
//
// AWS's page: automation-action-copyimage.html.
func copyImage() task {
	return task{outputs: []string{"ImageId", "ImageState"}, begin: makeImage, look: lookImage}
}

func makeImage(ctx context.Context, d *doing) error {
	kept, err := d.first(ctx, func(out map[string]any) map[string]any {
		return map[string]any{"ImageId": textAt(out, "ImageId")}
	})
	if err != nil {
		return err
	}
	if textAt(kept, "ImageId") == "" {
		return finally(nil, "%s answered no image.", d.calls[0].Operation)
	}
	d.assume = map[string]any{"ImageId": kept["ImageId"], "ImageState": "available"}
	return nil
}

// lookImage says whether the image is available. "transient" and "pending" pass;
// what else DescribeImages names does not.
func lookImage(ctx context.Context, d *doing) (sight, error) {
	id := textAt(d.notes[d.calls[0].Operation], "ImageId")
	s := sight{outputs: map[string]any{"ImageId": id, "ImageState": "pending"}, seen: fmt.Sprintf("image %.40s is not shown yet", id)}
	out, err := d.ask(ctx, "ec2", "DescribeImages", map[string]any{"ImageIds": []any{id}})
	if err != nil {
		return s, err
	}
	image := at(out, "Images", 0)
	if image == nil {
		return s, nil
	}
	state := textAt(image, "State")
	s.outputs["ImageState"] = state
	switch state {
	case "available":
		s.done = true
	case "failed", "invalid", "error", "deregistered", "disabled":
		return s, finally(s.outputs, "Image %.40s is %s: %.300s", id, state, textAt(image, "StateReason", "Message"))
	default:
		s.seen = fmt.Sprintf("image %.40s is %q", id, state)
	}
	return s, nil
}

// deleteImage is aws:deleteImage: it deregisters an image and deletes the
// snapshots that it was made of, at most 100, each by a call of its own: the plan
// names them, and guards see them. Where planning cannot tell which they are, it
// leaves the plan open.
//
// AWS's page: automation-action-delete.html.
func deleteImage() task {
	return task{begin: beginDeleteImage}
}

func beginDeleteImage(ctx context.Context, d *doing) error {
	id := textAt(d.calls[1].Input, "ImageId")
	kept, err := d.do(ctx, order{service: "ec2", operation: "DescribeImages", read: true, input: d.calls[0].Input, keep: keepSnapshots})
	if err != nil {
		return err
	}
	made := d.unknown // the image is one that only applying makes
	if at(kept, "Found") != true {
		return stepFailure{verificationFailure("Image %.40s does not exist.", id), nil}
	}
	snapshots := listAt(kept, "Snapshots")
	if len(snapshots) > maxSnapshots {
		return finally(nil, "Image %.40s has %d snapshots, the limit is %d.", id, len(snapshots), maxSnapshots)
	}
	if _, err := d.do(ctx, order{service: "ec2", operation: "DeregisterImage", input: d.calls[1].Input}); err != nil {
		return err
	}
	if made {
		return openPlan("step %s deletes the snapshots of an image that this runbook makes; which they are is known only after apply", d.c.step.Name)
	}
	for _, snapshot := range snapshots {
		o := order{name: fmt.Sprintf("DeleteSnapshot/%v", snapshot), service: "ec2", operation: "DeleteSnapshot", input: map[string]any{"SnapshotId": snapshot}}
		if _, err := d.do(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// keepSnapshots lists the snapshots of the image that was asked for.
func keepSnapshots(out map[string]any) map[string]any {
	ids := []any{}
	for _, m := range listAt(out, "Images", 0, "BlockDeviceMappings") {
		if id := textAt(m, "Ebs", "SnapshotId"); id != "" {
			ids = append(ids, id)
		}
	}
	return map[string]any{"Found": at(out, "Images", 0) != nil, "Snapshots": ids}
}
