package store

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// The limits of documents, those of Systems Manager.
const (
	MaxDocumentVersions = 1000
	// MaxDocumentContent is the largest document, in bytes; AWS takes 64 KB, documents
	// with their scripts inline are larger.
	MaxDocumentContent = 1 << 20
)

// DocumentRecord is an automation document that somebody stored.
type DocumentRecord struct {
	Name string `json:"-"`
	// Latest and Default are version numbers, from 1.
	Latest    int       `json:"-"`
	Default   int       `json:"-"`
	CreatedAt time.Time `json:"-"`
	// Rev is what an update must name.
	Rev int64 `json:"-"`

	CreatedBy string            `json:"created_by,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
}

// DocumentVersion is one version of a document. A version never changes.
type DocumentVersion struct {
	Name    string `json:"-"`
	Version int    `json:"-"`
	// Revision is the SHA-256 of Content, in hexadecimal.
	Revision string `json:"-"`
	Content  string `json:"-"`

	Format      string    `json:"format"` // YAML or JSON
	VersionName string    `json:"version_name,omitempty"`
	Schema      string    `json:"schema,omitempty"` // schemaVersion
	DisplayName string    `json:"display_name,omitempty"`
	TargetType  string    `json:"target_type,omitempty"`
	Description string    `json:"description,omitempty"`
	CreatedBy   string    `json:"created_by,omitempty"`
	CreatedAt   time.Time `json:"created_at"`
	// Attachments are the files of its scripts, kept as blobs.
	Attachments []DocumentAttachment `json:"attachments,omitempty"`
}

// DocumentAttachment is one file of a document.
type DocumentAttachment struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// DocumentBlobs names a document as the user of its attachments.
func DocumentBlobs(name string) string { return "document/" + name }

// CreateDocument stores a new document with v as its version 1, the default. A name
// that is taken answers ErrExists.
func (s *Store) CreateDocument(ctx context.Context, d DocumentRecord, v DocumentVersion, eff Effects) error {
	op := "create document " + d.Name
	if err := checkDocument(op, d.Name, v); err != nil {
		return err
	}
	d.Latest, d.Default, v.Name, v.Version = 1, 1, d.Name, 1
	doc, err := json.Marshal(d)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.DocumentInsert, d.Name, int64(1), int64(1), micros(d.CreatedAt), doc)
		if err != nil {
			return err
		}
		if n == 0 {
			return exists("%s", op)
		}
		if err := t.putVersion(ctx, op, v); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

func checkDocument(op, name string, v DocumentVersion) error {
	if err := checkID(op, "document name", name); err != nil {
		return err
	}
	if len(v.Content) > MaxDocumentContent {
		return fault.Errorf(fault.Invalid, op, "the document has %d bytes, the limit is %d", len(v.Content), MaxDocumentContent)
	}
	if string(digest([]byte(v.Content))) != v.Revision {
		return invalid(op, "the revision is not the SHA-256 of the content")
	}
	return nil
}

func (t *tx) putVersion(ctx context.Context, op string, v DocumentVersion) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return err
	}
	n, err := t.changed(ctx, t.s.q.VersionInsert, v.Name, int64(v.Version), v.Revision, doc, t.s.docs.pack([]byte(v.Content)))
	if err == nil && n == 0 {
		err = exists("%s: a version has this content", op)
	}
	return err
}

// UpdateDocument stores d over the revision that it names and, when v is given, v as
// the document's next version, which d.Latest then is. It answers ErrConflict when the
// document was changed by another, ErrExists when a version has v's content already.
func (s *Store) UpdateDocument(ctx context.Context, d DocumentRecord, v *DocumentVersion, eff Effects) (DocumentRecord, error) {
	op := "update document " + d.Name
	if v != nil {
		if err := checkDocument(op, d.Name, *v); err != nil {
			return d, err
		}
	}
	out := d
	err := s.write(ctx, Execution, op, func(t *tx) error {
		was, err := one(ctx, t, s.q.DocumentRead, []any{text(d.Name, maxID)}, scanDocument)
		if err != nil {
			return s.fail(op, err)
		}
		if was.Rev != d.Rev {
			return conflict("%s: it is at revision %d, not %d", op, was.Rev, d.Rev)
		}
		out = d
		out.Latest, out.CreatedAt = was.Latest, was.CreatedAt
		if v != nil {
			n, err := one(ctx, t, s.q.VersionCount, []any{d.Name}, scanCount)
			if err != nil {
				return err
			}
			if n >= MaxDocumentVersions {
				return fault.Errorf(fault.Exhausted, op, "it has %d versions, the limit is %d", n, MaxDocumentVersions)
			}
			out.Latest++
			next := *v
			next.Name, next.Version = d.Name, out.Latest
			if err := t.putVersion(ctx, op, next); err != nil {
				return err
			}
		}
		if out.Default < 1 || out.Default > out.Latest {
			return invalid(op, "there is no version %d", out.Default)
		}
		doc, err := json.Marshal(out)
		if err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.DocumentUpdate, d.Name, d.Rev, int64(out.Latest), int64(out.Default), doc)
		if err == nil && n == 0 {
			err = conflict("%s", op)
		}
		if err != nil {
			return err
		}
		out.Rev = d.Rev + 1
		return t.send(ctx, eff)
	})
	return out, err
}

func scanDocument(r scanner) (DocumentRecord, error) {
	var d DocumentRecord
	var created int64
	var doc []byte
	if err := r.Scan(&d.Name, &d.Latest, &d.Default, &created, &d.Rev, &doc); err != nil {
		return d, err
	}
	d.CreatedAt = fromMicros(created)
	return d, json.Unmarshal(doc, &d)
}

func (s *Store) scanVersion(r scanner) (DocumentVersion, error) {
	var v DocumentVersion
	var doc, packed []byte
	if err := r.Scan(&v.Name, &v.Version, &v.Revision, &doc, &packed); err != nil {
		return v, err
	}
	content, err := s.docs.unpack(packed)
	if err != nil {
		return v, err
	}
	v.Content = string(content)
	if string(digest(content)) != v.Revision {
		return v, fault.Errorf(fault.Internal, "read document "+v.Name, "version %d does not have its checksum", v.Version)
	}
	return v, json.Unmarshal(doc, &v)
}

// Document gives the document with a name.
func (s *Store) Document(ctx context.Context, name string) (DocumentRecord, error) {
	d, err := one(ctx, s.execution.Read, s.q.DocumentRead, []any{text(name, maxID)}, scanDocument)
	return d, s.fail("read document "+name, err)
}

// DocumentVersion gives one version of a document.
func (s *Store) DocumentVersion(ctx context.Context, name string, version int) (DocumentVersion, error) {
	v, err := one(ctx, s.execution.Read, s.q.VersionRead, []any{text(name, maxID), int64(version)}, s.scanVersion)
	return v, s.fail("read version "+strconv.Itoa(version)+" of document "+name, err)
}

// ListDocuments gives up to limit documents whose name comes after a name, by name.
func (s *Store) ListDocuments(ctx context.Context, after string, limit int) ([]DocumentRecord, error) {
	var b builder
	b.and("f.name > %s", b.arg(text(after, maxID)))
	all, err := collect(ctx, s.execution.Read, s.q.DocumentPage+b.sql()+" ORDER BY f.name LIMIT "+b.arg(int64(pageSize(limit))), b.args, scanDocument)
	return all, s.fail("list documents", err)
}

// CountDocuments says how many documents there are.
func (s *Store) CountDocuments(ctx context.Context) (int, error) {
	n, err := one(ctx, s.execution.Read, s.q.DocumentCount, nil, scanCount)
	return n, s.fail("count documents", err)
}

func scanCount(r scanner) (n int, err error) {
	err = r.Scan(&n)
	return n, err
}

// DocumentVersions gives up to limit versions of a document below a number (0 = all),
// the latest first.
func (s *Store) DocumentVersions(ctx context.Context, name string, below, limit int) ([]DocumentVersion, error) {
	var b builder
	b.and("f.name = %s", b.arg(text(name, maxID)))
	if below > 0 {
		b.and("f.version < %s", b.arg(int64(below)))
	}
	all, err := collect(ctx, s.execution.Read, s.q.VersionPage+b.sql()+" ORDER BY f.version DESC LIMIT "+b.arg(int64(pageSize(limit))), b.args, s.scanVersion)
	return all, s.fail("list versions of "+name, err)
}

// DeleteDocumentVersion removes one version, whose number is not used again. The
// default version answers code conflict.
func (s *Store) DeleteDocumentVersion(ctx context.Context, name string, version int, eff Effects) error {
	op := "delete version " + strconv.Itoa(version) + " of document " + name
	return s.write(ctx, Execution, op, func(t *tx) error {
		d, err := one(ctx, t, s.q.DocumentRead, []any{text(name, maxID)}, scanDocument)
		if err != nil {
			return err
		}
		if d.Default == version {
			return fault.Errorf(fault.Conflict, op, "it is the default version").WithHint("make another version the default, or delete the document")
		}
		n, err := t.changed(ctx, s.q.VersionDelete, name, int64(version))
		if err == nil && n == 0 {
			err = notFound("%s", op)
		}
		if err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// DeleteDocument removes a document with all versions. Plans hold the documents
// that they run, so nothing that was started needs it.
func (s *Store) DeleteDocument(ctx context.Context, name string, eff Effects) error {
	op := "delete document " + name
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.DocumentDelete, text(name, maxID))
		if err != nil {
			return err
		}
		if n == 0 {
			return notFound("%s", op)
		}
		if _, err := t.changed(ctx, s.q.VersionsDelete, name); err != nil {
			return err
		}
		if _, err := t.changed(ctx, s.q.BlobRelease, DocumentBlobs(name)); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// PutVersionAttachment notes that a file which a version declares is kept. It is the
// only thing of a version that changes.
func (s *Store) PutVersionAttachment(ctx context.Context, name string, version int, a DocumentAttachment, eff Effects) error {
	op := "keep attachment of document " + name
	return s.write(ctx, Execution, op, func(t *tx) error {
		v, err := one(ctx, t, s.q.VersionRead, []any{text(name, maxID), int64(version)}, s.scanVersion)
		if err != nil {
			return err
		}
		v.Attachments = append(slices.DeleteFunc(v.Attachments, func(b DocumentAttachment) bool { return b.Name == a.Name }), a)
		doc, err := json.Marshal(v)
		if err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.VersionUpdate, name, int64(version), doc)
		if err == nil && n == 0 {
			err = conflict("%s", op)
		}
		if err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}
