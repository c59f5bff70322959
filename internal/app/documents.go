package app

import (
	"context"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// documents are those that can be run by name: the ones that people stored, and
// those of the catalog, which nobody can change.
type documents struct {
	store   *store.Store
	catalog *Content
}

// versionNumber reads a document version as Systems Manager has it.
func versionNumber(version string) (int, error) {
	switch version {
	case "", "$DEFAULT":
		return runbook.DefaultVersion, nil
	case "$LATEST":
		return runbook.LatestVersion, nil
	}
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 {
		return 0, fault.Errorf(fault.Invalid, "read document version", "%.20q is not a version", version).WithHint("a version is a number, $DEFAULT or $LATEST")
	}
	return n, nil
}

// Resolve pins a version of a document. A name may be an ARN, of which the name is
// the last part. It answers plan.Documents.
func (d *documents) Resolve(ctx context.Context, name, version string) (remediation.Runbook, error) {
	if strings.HasPrefix(name, "arn:") {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	if pinned, _, ok := d.catalog.Runbook(name); ok {
		if version != "" && version != "$DEFAULT" && version != "$LATEST" && version != "1" {
			return remediation.Runbook{}, fault.Errorf(fault.NotFound, "find document", "document %s has no version %.20s", name, version)
		}
		pinned.Version = "1"
		return pinned, nil
	}
	n, err := versionNumber(version)
	if err != nil {
		return remediation.Runbook{}, err
	}
	found, err := d.Document(ctx, name, n)
	if fault.Is(err, fault.NotFound) {
		return remediation.Runbook{}, fault.Errorf(fault.NotFound, "find document", "there is no document %q", name).WithHint("run: parry runbook list")
	}
	return remediation.Runbook{Name: name, Version: strconv.Itoa(found.Version), Revision: found.Revision, Content: found.Content}, err
}

// Document gives a version of a stored document.
func (d *documents) Document(ctx context.Context, name string, version int) (runbook.Stored, error) {
	head, err := d.store.Document(ctx, name)
	if err != nil {
		return runbook.Stored{}, err
	}
	switch version {
	case runbook.DefaultVersion:
		version = head.Default
	case runbook.LatestVersion:
		version = head.Latest
	}
	v, err := d.store.DocumentVersion(ctx, name, version)
	return stored(head, v), err
}

func stored(d store.DocumentRecord, v store.DocumentVersion) runbook.Stored {
	out := runbook.Stored{
		Name: d.Name, Version: v.Version, VersionName: v.VersionName, DisplayName: v.DisplayName, TargetType: v.TargetType, Format: v.Format,
		Content: v.Content, Revision: v.Revision, Description: v.Description, SchemaVersion: v.Schema, CreatedBy: v.CreatedBy, CreatedAt: v.CreatedAt,
		Default: d.Default, Latest: d.Latest, Tags: d.Tags,
	}
	for _, a := range v.Attachments {
		out.Attachments = append(out.Attachments, runbook.File{Name: a.Name, SHA256: a.SHA256, Size: a.Size})
	}
	return out
}

func versionOf(d runbook.Stored) store.DocumentVersion {
	v := store.DocumentVersion{
		Name: d.Name, Revision: d.Revision, Content: d.Content, Format: d.Format, VersionName: d.VersionName, DisplayName: d.DisplayName,
		TargetType: d.TargetType, Description: d.Description, Schema: d.SchemaVersion, CreatedBy: d.CreatedBy, CreatedAt: d.CreatedAt,
	}
	for _, a := range d.Attachments {
		v.Attachments = append(v.Attachments, store.DocumentAttachment{Name: a.Name, SHA256: a.SHA256, Size: a.Size})
	}
	return v
}

// ListDocuments gives documents in their default version, by name, without content.
func (d *documents) ListDocuments(ctx context.Context, after string, limit int) ([]runbook.Stored, error) {
	heads, err := d.store.ListDocuments(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	out := make([]runbook.Stored, 0, len(heads))
	for _, h := range heads {
		v, err := d.store.DocumentVersion(ctx, h.Name, h.Default)
		if fault.Is(err, fault.NotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		v.Content = ""
		out = append(out, stored(h, v))
	}
	return out, nil
}

// DocumentVersions gives versions below before, the latest first, without content.
func (d *documents) DocumentVersions(ctx context.Context, name string, before, limit int) ([]runbook.Stored, error) {
	head, err := d.store.Document(ctx, name)
	if err != nil {
		return nil, err
	}
	versions, err := d.store.DocumentVersions(ctx, name, before, limit)
	out := make([]runbook.Stored, 0, len(versions))
	for _, v := range versions {
		v.Content = ""
		out = append(out, stored(head, v))
	}
	return out, err
}

// CreateDocument stores version 1.
func (d *documents) CreateDocument(ctx context.Context, doc runbook.Stored, most int, eff store.Effects) error {
	if _, _, taken := d.catalog.Runbook(doc.Name); taken {
		return store.ErrExists
	}
	n, err := d.store.CountDocuments(ctx)
	if err != nil {
		return err
	}
	if n >= most {
		return fault.Errorf(fault.Exhausted, "create document", "there are %d documents, the limit is %d", n, most)
	}
	return d.store.CreateDocument(ctx, store.DocumentRecord{Name: doc.Name, CreatedAt: doc.CreatedAt, CreatedBy: doc.CreatedBy, Tags: doc.Tags}, versionOf(doc), eff)
}

// AddDocumentVersion stores doc as the version after doc.Latest.
func (d *documents) AddDocumentVersion(ctx context.Context, doc runbook.Stored, most int, eff store.Effects) error {
	head, err := d.store.Document(ctx, doc.Name)
	if err != nil {
		return err
	}
	if head.Latest != doc.Latest {
		return store.ErrConflict
	}
	v := versionOf(doc)
	_, err = d.store.UpdateDocument(ctx, head, &v, eff)
	return err
}

// SetDefaultVersion makes a version the one that runs unless another is named.
func (d *documents) SetDefaultVersion(ctx context.Context, name string, version int, eff store.Effects) error {
	head, err := d.store.Document(ctx, name)
	if err != nil {
		return err
	}
	if _, err := d.store.DocumentVersion(ctx, name, version); err != nil {
		return err
	}
	head.Default = version
	_, err = d.store.UpdateDocument(ctx, head, nil, eff)
	return err
}

// DeleteDocument deletes a version, or with version 0 the whole document.
func (d *documents) DeleteDocument(ctx context.Context, name string, version int, eff store.Effects) error {
	if version != 0 {
		return d.store.DeleteDocumentVersion(ctx, name, version, eff)
	}
	return d.store.DeleteDocument(ctx, name, eff)
}

// SetDocumentTags replaces the tags of a document.
func (d *documents) SetDocumentTags(ctx context.Context, name string, tags map[string]string, eff store.Effects) error {
	head, err := d.store.Document(ctx, name)
	if err != nil {
		return err
	}
	head.Tags = tags
	_, err = d.store.UpdateDocument(ctx, head, nil, eff)
	return err
}

// PutAttachment keeps a file of a document. Its content has been checked against
// what the document declares.
func (d *documents) PutAttachment(ctx context.Context, document string, version int, f runbook.File, content []byte, eff store.Effects) error {
	head, err := d.store.Document(ctx, document)
	if err != nil {
		return err
	}
	if _, err := d.store.DocumentVersion(ctx, document, version); err != nil {
		return err
	}
	sum, err := d.store.PutBlob(ctx, store.DocumentBlobs(document), content)
	if err != nil {
		return err
	}
	if sum != strings.ToLower(f.SHA256) {
		return fault.Errorf(fault.Invalid, "keep attachment", "%s does not have the checksum that the document declares", f.Name)
	}
	return d.store.PutVersionAttachment(ctx, head.Name, version, store.DocumentAttachment{Name: f.Name, SHA256: sum, Size: int64(len(content))}, eff)
}
