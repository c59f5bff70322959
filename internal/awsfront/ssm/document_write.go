package ssm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// MaxContent is the largest document, in bytes. AWS takes 64 KB; documents with
// their scripts inside are often larger.
const MaxContent = runbook.MaxSize

type attachmentSource struct {
	Key    string
	Values []string
	Name   string
}

type createInput struct {
	Content        string
	Requires       []json.RawMessage
	Attachments    []attachmentSource
	Name           string
	DisplayName    string
	VersionName    string
	DocumentType   string
	DocumentFormat string
	TargetType     string
	Tags           []tag
}

type descriptionOutput struct {
	DocumentDescription description `json:"DocumentDescription"`
}

func (h *Handler) createDocument(ctx context.Context, c Caller, in *createInput) (any, error) {
	if in.DocumentType != "" && in.DocumentType != documentType {
		return nil, refuse("InvalidDocumentContent", "Parry keeps documents of type Automation only, not %s. Give DocumentType Automation.", in.DocumentType)
	}
	if len(in.Requires) > 0 {
		return nil, refuse("InvalidDocumentContent", "Requires is not for documents of type Automation.")
	}
	if len(in.Name) >= len(catalogPrefix) && strings.EqualFold(in.Name[:len(catalogPrefix)], catalogPrefix) {
		return nil, protocol.InvalidMember("name", in.Name, "Member must not begin with Parry, as the documents do that come with it")
	}
	if _, ok := h.catalogDocument(in.Name); ok {
		return nil, alreadyExists(in.Name)
	}
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	d, err := h.newVersion(in.Content, in.DocumentFormat)
	if err != nil {
		return nil, err
	}
	d.Name, d.DisplayName, d.VersionName, d.TargetType, d.Tags = in.Name, in.DisplayName, in.VersionName, in.TargetType, tags
	d.Version, d.Default, d.Latest = 1, 1, 1
	d.CreatedBy, d.CreatedAt = c.Principal.Name, h.cfg.Clock.Now().UTC()
	if d.Attachments, err = h.attach(ctx, d, in.Attachments); err != nil {
		return nil, err
	}
	err = h.cfg.Writer.CreateDocument(ctx, d, h.cfg.MaxDocuments, h.audit(c, "document.created", d))
	switch {
	case errors.Is(err, store.ErrExists):
		return nil, alreadyExists(in.Name)
	case fault.Is(err, fault.Exhausted):
		return nil, refuse("DocumentLimitExceeded", "There are %d documents already, which is the limit. Delete some.", h.cfg.MaxDocuments)
	case err != nil:
		return nil, err
	}
	desc, err := h.describe(found{Stored: d})
	return descriptionOutput{desc}, err
}

func alreadyExists(name string) error {
	return refuse("DocumentAlreadyExists", "Document with name %s already exists.", protocol.Clip(name))
}

// newVersion checks a document's text and gives what is known from it.
func (h *Handler) newVersion(content, format string) (runbook.Stored, error) {
	if len(content) > MaxContent {
		return runbook.Stored{}, refuse("MaxDocumentSizeExceeded", "The document has %d bytes; the limit is %d. Move long scripts into attachments.", len(content), MaxContent)
	}
	switch format {
	case "", formatJSON:
		if !json.Valid([]byte(content)) {
			return runbook.Stored{}, refuse("InvalidDocumentContent", "JSON not well-formed. The format is JSON unless DocumentFormat says YAML.")
		}
		format = formatJSON
	case formatYAML:
	default:
		return runbook.Stored{}, refuse("InvalidDocumentContent", "An Automation document has the formats YAML and JSON, not %s.", format)
	}
	doc, err := h.parsed.parse(content)
	if err != nil {
		return runbook.Stored{}, contentError(err)
	}
	if problems := runbook.Errors(runbook.Check(doc, runbook.CheckOptions{}).Problems); len(problems) > 0 {
		return runbook.Stored{}, contentProblems(problems)
	}
	return runbook.Stored{
		Format: format, Content: content, Revision: doc.Revision, Description: doc.Description, SchemaVersion: doc.SchemaVersion,
	}, nil
}

func contentError(err error) error {
	var parse *runbook.ParseError
	if errors.As(err, &parse) && len(parse.Problems) > 0 {
		if strings.HasSuffix(parse.Problems[0].Path, "schemaVersion") {
			return refuse("InvalidDocumentSchemaVersion", "%s. %s.", parse.Problems[0], upperFirst(parse.Problems[0].Fix))
		}
		return contentProblems(parse.Problems)
	}
	return refuse("InvalidDocumentContent", "%s", err)
}

// contentProblems names the first problem, its place and what to do.
func contentProblems(problems []runbook.Problem) error {
	p := problems[0]
	text := fmt.Sprintf("line %d, column %d: ", p.Line, p.Column)
	if p.Path != "" {
		text += p.Path + ": "
	}
	text += p.Message + " (" + p.Code + "). " + upperFirst(p.Fix) + "."
	if n := len(problems) - 1; n > 0 {
		text += fmt.Sprintf(" There are %d more problems: parry runbook check FILE lists them.", n)
	}
	return &protocol.Error{Status: http.StatusBadRequest, Code: "InvalidDocumentContent", Message: text}
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// attach gives the files that a new version has: those that it declares with a
// checksum. Their content is found by the checksum, whichever document or version
// it was uploaded for. A source may only confirm what the document says.
func (h *Handler) attach(ctx context.Context, d runbook.Stored, sources []attachmentSource) ([]runbook.File, error) {
	doc, err := h.parsed.parse(d.Content)
	if err != nil {
		return nil, contentError(err)
	}
	for _, s := range sources {
		f, err := h.reference(ctx, d.Name, s)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(doc.Files, func(declared runbook.File) bool { return declared.Name == f.Name && declared.SHA256 == f.SHA256 }) {
			return nil, refuse("InvalidDocumentContent", "The document declares no file %s with the checksum of the attachment. Write it under files: with checksums: {sha256: ...}.", protocol.Clip(s.Name))
		}
	}
	return slices.Clone(doc.Files), nil
}

// reference finds the attachment that an AttachmentReference names:
// document/version/name, or a name of the document itself.
func (h *Handler) reference(ctx context.Context, document string, s attachmentSource) (runbook.File, error) {
	if s.Key != "AttachmentReference" || len(s.Values) != 1 || s.Name == "" {
		return runbook.File{}, refuse("InvalidDocumentContent",
			"Parry does not fetch attachments from S3 (%s). Create the document, then upload each file: parry runbook attach, or PUT /v1/documents/{name}/versions/{version}/attachments/{file}. AttachmentReference with a Name is answered.", protocol.Clip(s.Key))
	}
	version, file := "$LATEST", s.Values[0]
	if parts := strings.Split(s.Values[0], "/"); len(parts) >= 3 {
		n := len(parts)
		document, version, file = DocumentName(strings.Join(parts[:n-2], "/")), parts[n-2], parts[n-1]
	}
	d, err := h.document(ctx, document, version, "")
	if err != nil {
		return runbook.File{}, err
	}
	for _, f := range d.Attachments {
		if f.Name == file {
			f.Name = s.Name
			return f, nil
		}
	}
	return runbook.File{}, refuse("InvalidDocumentContent", "Document %s has no attachment %s in version %s.", protocol.Clip(document), protocol.Clip(file), protocol.Clip(version))
}

type updateInput struct {
	Content         string
	Attachments     []attachmentSource
	Name            string
	DisplayName     string
	VersionName     string
	DocumentVersion string
	DocumentFormat  string
	TargetType      string
}

func (h *Handler) updateDocument(ctx context.Context, c Caller, in *updateInput) (any, error) {
	was, err := h.mutable(ctx, in.Name, "$LATEST")
	if err != nil {
		return nil, err
	}
	if v := in.DocumentVersion; v != "" && v != "$LATEST" && v != strconv.Itoa(was.Latest) {
		return nil, refuse("InvalidDocumentVersion", "Only the latest version, %d, can be updated, not %s. Give $LATEST.", was.Latest, protocol.Clip(v))
	}
	d, err := h.newVersion(in.Content, in.DocumentFormat)
	if err != nil {
		return nil, err
	}
	if err := h.unlikeOthers(ctx, in.Name, d.Revision, in.VersionName); err != nil {
		return nil, err
	}
	d.Name, d.DisplayName, d.VersionName, d.TargetType, d.Tags = in.Name, in.DisplayName, in.VersionName, in.TargetType, was.Tags
	if d.TargetType == "" {
		d.TargetType = was.TargetType
	}
	if d.DisplayName == "" {
		d.DisplayName = was.DisplayName
	}
	if d.Attachments, err = h.attach(ctx, d, in.Attachments); err != nil {
		return nil, err
	}
	d.Version, d.Latest, d.Default = was.Latest+1, was.Latest, was.Default
	d.CreatedBy, d.CreatedAt = c.Principal.Name, h.cfg.Clock.Now().UTC()
	err = h.cfg.Writer.AddDocumentVersion(ctx, d, h.cfg.MaxVersions, h.audit(c, "document.updated", d))
	switch {
	case fault.Is(err, fault.Exhausted):
		return nil, refuse("DocumentVersionLimitExceeded", "Document %s has %d versions, which is the limit. Delete some.", in.Name, h.cfg.MaxVersions)
	case err != nil:
		return nil, err
	}
	d.Latest = d.Version
	desc, err := h.describe(found{Stored: d})
	return descriptionOutput{desc}, err
}

// mutable gives a version of a document that may be changed.
func (h *Handler) mutable(ctx context.Context, name, version string) (runbook.Stored, error) {
	d, err := h.document(ctx, name, version, "")
	if err != nil {
		return runbook.Stored{}, err
	}
	if d.catalog {
		return runbook.Stored{}, refuse("InvalidDocumentOperation", "Document %s comes with Parry and cannot be changed. Create one of another name from its content.", d.Name)
	}
	return d.Stored, nil
}

// unlikeOthers refuses a text or a version name that another version has.
func (h *Handler) unlikeOthers(ctx context.Context, name, revision, versionName string) error {
	var refused error
	err := h.eachVersion(ctx, name, func(v runbook.Stored) bool {
		switch {
		case v.Revision == revision:
			refused = refuse("DuplicateDocumentContent", "Version %d of document %s has the same content. Change the content and try again.", v.Version, name)
		case versionName != "" && v.VersionName == versionName:
			refused = refuse("DuplicateDocumentVersionName", "Version %d of document %s is named %s.", v.Version, name, versionName)
		}
		return refused == nil
	})
	return errors.Join(err, refused)
}

type defaultVersionInput struct {
	Name            string
	DocumentVersion string
}

type defaultVersionOutput struct {
	Description defaultVersion `json:"Description"`
}

type defaultVersion struct {
	Name               string `json:"Name"`
	DefaultVersion     string `json:"DefaultVersion"`
	DefaultVersionName string `json:"DefaultVersionName,omitempty"`
}

func (h *Handler) updateDefaultVersion(ctx context.Context, c Caller, in *defaultVersionInput) (any, error) {
	d, err := h.mutable(ctx, in.Name, in.DocumentVersion)
	if err != nil {
		return nil, err
	}
	err = h.cfg.Writer.SetDefaultVersion(ctx, d.Name, d.Version, h.audit(c, "document.default_version", d))
	if err != nil {
		return nil, as(err, fault.NotFound, "InvalidDocumentVersion", "Document %s has no version %d.", d.Name, d.Version)
	}
	return defaultVersionOutput{defaultVersion{d.Name, strconv.Itoa(d.Version), d.VersionName}}, nil
}

type deleteInput struct {
	Name            string
	DocumentVersion string
	VersionName     string
}

func (h *Handler) deleteDocument(ctx context.Context, c Caller, in *deleteInput) (any, error) {
	version := in.DocumentVersion
	if in.VersionName != "" {
		n, err := h.versionNamed(ctx, in.Name, in.VersionName)
		if err != nil {
			return nil, err
		}
		version = strconv.Itoa(n)
	}
	d, err := h.mutable(ctx, in.Name, version)
	if err != nil {
		return nil, err
	}
	n := 0 // all
	if version != "" {
		if n = d.Version; n == d.Default {
			return nil, refuse("InvalidDocumentOperation", "Version %d is the default version of document %s. Make another the default first, or delete the document without naming a version.", n, d.Name)
		}
	}
	err = h.cfg.Writer.DeleteDocument(ctx, d.Name, n, h.audit(c, "document.deleted", d))
	if err != nil {
		return nil, as(err, fault.NotFound, "InvalidDocument", "Document with name %s does not exist.", d.Name)
	}
	return struct{}{}, nil
}

// audit is the record of what was done with a document.
func (h *Handler) audit(c Caller, action string, d runbook.Stored) store.Effects {
	detail, err := json.Marshal(map[string]any{"version": d.Version, "revision": d.Revision})
	if err != nil {
		detail = nil // Texts and numbers always encode.
	}
	return store.Effects{Audit: []store.AuditRecord{{At: h.cfg.Clock.Now().UTC(), Actor: c.Principal.Name, Action: action, Object: d.Name, Detail: detail}}}
}
