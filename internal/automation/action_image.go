package automation

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/runbook"
)

// maxSnapshots bounds the snapshots of one image.
const maxSnapshots = 100

// createImage is aws:createImage: an image of an instance, waited for until it is
// available.
//
// AWS's page: automation-action-create.html.
func createImage() task {
	return task{outputs: []string{"ImageId", "ImageState"}, begin: beginCreateImage, look: lookImage}
}

func beginCreateImage(ctx context.Context, d *doing) error {
	call, err := imageInput(d.in, "InstanceId")
	if err != nil {
		return err
	}
	if err := typed(call, runbook.TypeBoolean, "NoReboot"); err != nil {
		return err
	}
	if d.in.has("BlockDeviceMappings") {
		if call["BlockDeviceMappings"], err = d.in.maps("BlockDeviceMappings"); err != nil {
			return err
		}
	}
	return makeImage(ctx, d, "CreateImage", call)
}

// copyImage is aws:copyImage: an image copied into the region of the execution,
// waited for until it is available. Without a ClientToken the gate gives one that
// a restart gives again.
//
// AWS's page: automation-action-copyimage.html.
func copyImage() task {
	return task{outputs: []string{"ImageId", "ImageState"}, begin: beginCopyImage, look: lookImage}
}

func beginCopyImage(ctx context.Context, d *doing) error {
	call, err := imageInput(d.in, "SourceImageId", "SourceRegion")
	if err != nil {
		return err
	}
	if err := typed(call, runbook.TypeBoolean, "Encrypted", "CopyImageTags"); err != nil {
		return err
	}
	return makeImage(ctx, d, "CopyImage", call)
}

// imageInput gives the input of CreateImage and CopyImage, which call ImageName
// and ImageDescription otherwise.
func imageInput(in inputs, required ...string) (map[string]any, error) {
	for _, name := range append(required, "ImageName") {
		if _, err := in.text(name); err != nil {
			return nil, err
		}
	}
	call := in.rest("ImageName", "ImageDescription")
	call["Name"] = in["ImageName"]
	if in.has("ImageDescription") {
		call["Description"] = in["ImageDescription"]
	}
	return call, typed(call, runbook.TypeString, "Name", "Description")
}

func makeImage(ctx context.Context, d *doing, operation string, call map[string]any) error {
	kept, err := d.do(ctx, order{name: "image", service: "ec2", operation: operation, input: call, keep: func(out map[string]any) map[string]any {
		return map[string]any{"ImageId": textAt(out, "ImageId")}
	}})
	if err != nil {
		return err
	}
	if textAt(kept, "ImageId") == "" {
		return finally(nil, "%s answered no image.", operation)
	}
	d.assume = map[string]any{"ImageId": kept["ImageId"], "ImageState": "available"}
	return nil
}

// lookImage says whether the image is available. "transient" and "pending" pass;
// what else DescribeImages names does not.
func lookImage(ctx context.Context, d *doing) (sight, error) {
	id := textAt(d.notes["image"], "ImageId")
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
	id, err := d.in.text("ImageId")
	if err != nil {
		return err
	}
	kept, err := d.do(ctx, order{service: "ec2", operation: "DescribeImages", read: true, input: map[string]any{"ImageIds": []any{id}}, keep: keepSnapshots})
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
	if _, err := d.do(ctx, order{service: "ec2", operation: "DeregisterImage", input: map[string]any{"ImageId": id}}); err != nil {
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
