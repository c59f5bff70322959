package ssm

import (
	"context"
	"slices"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// Attach keeps a file that a version of a document declares under files:, "" being
// the latest. AWS's API has no such operation: it fetches attachments from S3. The
// content has to have the checksum and, where it is given, the size that the
// document declares. Errors carry fault codes.
func (h *Handler) Attach(ctx context.Context, p auth.Principal, document, version, file string, content []byte) (runbook.File, error) {
	const op = "attach file"
	if err := auth.Authorize(p, auth.DocumentWrite, auth.All); err != nil {
		return runbook.File{}, err
	}
	if version == "" {
		version = "$LATEST"
	}
	d, err := h.mutable(ctx, document, version)
	if err != nil {
		return runbook.File{}, attachError(err)
	}
	doc, err := h.parsed.parse(d.Content)
	if err != nil {
		return runbook.File{}, fault.E(fault.Internal, op, err)
	}
	i := slices.IndexFunc(doc.Files, func(f runbook.File) bool { return f.Name == file })
	if i < 0 {
		return runbook.File{}, fault.Errorf(fault.NotFound, op, "document %s declares no file %q in version %d", d.Name, protocol.Clip(file), d.Version).
			WithHint("write it under files: with checksums: {sha256: %s}, and update the document", runbook.Revision(content))
	}
	f := doc.Files[i]
	switch sum := runbook.Revision(content); {
	case f.SHA256 != sum:
		return runbook.File{}, fault.Errorf(fault.Invalid, op, "the content has SHA-256 %s, document %s declares %s for %s", sum, d.Name, f.SHA256, f.Name).
			WithHint("upload the file that the document means, or update the document")
	case f.Size != 0 && f.Size != int64(len(content)):
		return runbook.File{}, fault.Errorf(fault.Invalid, op, "the content has %d bytes, document %s declares %d for %s", len(content), d.Name, f.Size, f.Name)
	}
	f.Size = int64(len(content))
	c := Caller{Principal: p}
	return f, h.cfg.Files.PutAttachment(ctx, d.Name, d.Version, f, content, h.audit(c, "document.attached", d))
}

// attachError gives a refusal of the API a fault code.
func attachError(err error) error {
	switch e := ErrorOf(err); e.Code {
	case "InvalidDocument", "InvalidDocumentVersion":
		return fault.Errorf(fault.NotFound, "attach file", "%s", e.Message).WithHint("list the documents: aws ssm list-documents --filters Key=Owner,Values=Self")
	case "InvalidDocumentOperation":
		return fault.Errorf(fault.Conflict, "attach file", "%s", e.Message)
	}
	return err
}
