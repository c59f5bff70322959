package ssm

import (
	"context"
	"maps"

	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/runbook"
)

// maxTags bounds the tags of one resource, as AWS does.
const maxTags = 50

// newTags puts more over have.
func newTags(have map[string]string, more []tag) (map[string]string, error) {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	given := map[string]bool{}
	for _, t := range more {
		if given[t.Key] {
			return nil, refuse("ValidationException", "The tag key %s is given twice.", protocol.Clip(t.Key))
		}
		given[t.Key] = true
		out[t.Key] = t.Value
	}
	if len(out) > maxTags {
		return nil, refuse("TooManyTagsError", "A resource has at most %d tags.", maxTags)
	}
	return out, nil
}

type tagsInput struct {
	ResourceType string
	ResourceID   string `json:"ResourceId"`
	Tags         []tag
	TagKeys      []string
}

type tagsOutput struct {
	TagList []tag `json:"TagList"`
}

// listTags gives the tags of a document, and those with which an execution was
// started.
func (h *Handler) listTags(ctx context.Context, c Caller, in *tagsInput) (any, error) {
	if in.ResourceType == documentType {
		e, err := h.execution(ctx, c, in.ResourceID)
		if err != nil {
			return nil, refuse("InvalidResourceId", "There is no automation execution %s within your accounts.", protocol.Clip(in.ResourceID))
		}
		if e.Asked == nil {
			return tagsOutput{[]tag{}}, nil
		}
		return tagsOutput{tagsOf(e.Asked.Tags)}, nil
	}
	d, err := h.tagged(ctx, in)
	return tagsOutput{tagsOf(d.Tags)}, err
}

// tagged gives the document that a request about tags names.
func (h *Handler) tagged(ctx context.Context, in *tagsInput) (found, error) {
	if in.ResourceType != "Document" {
		return found{}, refuse("InvalidResourceType", "Parry keeps tags of the resource type Document only, not %s.", in.ResourceType)
	}
	d, err := h.document(ctx, in.ResourceID, "", "")
	if err != nil && ErrorOf(err).Code == "InvalidDocument" {
		return found{}, refuse("InvalidResourceId", "There is no document %s.", protocol.Clip(in.ResourceID))
	}
	return d, err
}

func (h *Handler) addTags(ctx context.Context, c Caller, in *tagsInput) (any, error) {
	return h.changeTags(ctx, c, in, func(d runbook.Stored) (map[string]string, error) { return newTags(d.Tags, in.Tags) })
}

func (h *Handler) removeTags(ctx context.Context, c Caller, in *tagsInput) (any, error) {
	return h.changeTags(ctx, c, in, func(d runbook.Stored) (map[string]string, error) {
		left := maps.Clone(d.Tags)
		for _, key := range in.TagKeys {
			delete(left, key)
		}
		return left, nil
	})
}

func (h *Handler) changeTags(ctx context.Context, c Caller, in *tagsInput, change func(runbook.Stored) (map[string]string, error)) (any, error) {
	d, err := h.tagged(ctx, in)
	if err != nil {
		return nil, err
	}
	if d.catalog {
		return nil, refuse("InvalidResourceId", "Document %s comes with Parry and cannot be tagged.", d.Name)
	}
	tags, err := change(d.Stored)
	if err != nil {
		return nil, err
	}
	return struct{}{}, h.cfg.Writer.SetDocumentTags(ctx, d.Name, tags, h.audit(c, "document.tagged", d.Stored))
}
