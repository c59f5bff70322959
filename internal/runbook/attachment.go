package runbook

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// Limits of attachments. Systems Manager takes more, but a script has no use for
// it.
const (
	// MaxAttachment bounds one attachment, in bytes, packed and unpacked.
	MaxAttachment = 32 << 20
	// MaxUnpacked bounds the files of an attachment that is a zip.
	MaxUnpacked = 1_000
)

// File gives the attachment that a document declares under name.
func (d *Document) File(name string) (File, bool) {
	for _, f := range d.Files {
		if f.Name == name {
			return f, true
		}
	}
	return File{}, false
}

// CheckAttachment holds content against the size and the SHA-256 that a document
// declares for f. A document that declares no checksum takes any content: the plan
// binds what was used.
func CheckAttachment(f File, content []byte) error {
	const op = "check attachment"
	if len(content) > MaxAttachment {
		return fault.Errorf(fault.Exhausted, op, "attachment %.255s has %d bytes, the limit is %d", f.Name, len(content), MaxAttachment)
	}
	if f.Size > 0 && f.Size != int64(len(content)) {
		return fault.Errorf(fault.Invalid, op, "attachment %.255s has %d bytes, the document says %d", f.Name, len(content), f.Size).
			WithHint("give the file that the document was written for, or correct files.%.255s.size", f.Name)
	}
	if f.SHA256 == "" {
		return nil
	}
	sum := sha256.Sum256(content)
	if have := hex.EncodeToString(sum[:]); have != f.SHA256 {
		return fault.Errorf(fault.Invalid, op, "attachment %.255s has the SHA-256 %s, the document says %s", f.Name, have, f.SHA256).
			WithHint("give the file that the document was written for, or correct files.%.255s.checksums.sha256", f.Name)
	}
	return nil
}

// UnpackAttachments gives the files of a zip by their path, with slashes. Paths
// that lead out of the archive, links and other things that are no files, more than
// MaxUnpacked files and more than MaxAttachment bytes in total are refused. Sizes
// are counted while unpacking, whatever the archive says of itself.
func UnpackAttachments(raw []byte) (map[string][]byte, error) {
	const op = "unpack attachments"
	if len(raw) > MaxAttachment {
		return nil, fault.Errorf(fault.Exhausted, op, "the zip has %d bytes, the limit is %d", len(raw), MaxAttachment)
	}
	r, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, op, "it is not a zip: %v", err)
	}
	if len(r.File) > 2*MaxUnpacked { // directories have entries too
		return nil, fault.Errorf(fault.Exhausted, op, "the zip has %d entries, the limit is %d files", len(r.File), MaxUnpacked)
	}
	out := map[string][]byte{}
	left := int64(MaxAttachment)
	for _, f := range r.File {
		name := strings.TrimPrefix(f.Name, "./")
		if strings.HasSuffix(name, "/") && f.Mode().IsDir() {
			continue
		}
		if err := checkPath(name); err != nil {
			return nil, fault.E(fault.Invalid, op, err)
		}
		if !f.Mode().IsRegular() {
			return nil, fault.Errorf(fault.Invalid, op, "%.200q is not a plain file", name)
		}
		if _, twice := out[name]; twice {
			return nil, fault.Errorf(fault.Invalid, op, "%.200q is in the zip twice", name)
		}
		if len(out) == MaxUnpacked {
			return nil, fault.Errorf(fault.Exhausted, op, "the zip has more than %d files", MaxUnpacked)
		}
		content, err := unpack(f, left)
		if err != nil {
			return nil, err
		}
		left -= int64(len(content))
		out[name] = content
	}
	return out, nil
}

// checkPath refuses names that a file system could read as anything but a path
// below the folder in which they are unpacked.
func checkPath(name string) error {
	if name == "" || len(name) > 1024 || path.Clean(name) != name || strings.HasPrefix(name, "/") || name == ".." || strings.HasPrefix(name, "../") ||
		strings.ContainsAny(name, "\\\x00:") {
		return fmt.Errorf("%.200q is not a path inside the zip", name)
	}
	return nil
}

func unpack(f *zip.File, left int64) ([]byte, error) {
	const op = "unpack attachments"
	in, err := f.Open()
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, op, "open %.200q: %v", f.Name, err)
	}
	defer func() { _ = in.Close() }()
	content, err := io.ReadAll(io.LimitReader(in, left+1))
	switch {
	case int64(len(content)) > left:
		return nil, fault.Errorf(fault.Exhausted, op, "the zip unpacks to more than %d bytes", MaxAttachment)
	case err != nil:
		return nil, fault.Errorf(fault.Invalid, op, "read %.200q: %v", f.Name, err)
	}
	return content, nil
}
