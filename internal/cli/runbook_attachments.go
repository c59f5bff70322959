package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// attachmentsIn gives the files that doc declares, from a folder or a zip.
func attachmentsIn(doc *runbook.Document, place string) ([][]byte, error) {
	read, err := attachmentReader(place)
	if err != nil {
		return nil, noAttachment(place, err)
	}
	out := make([][]byte, 0, len(doc.Files))
	for _, f := range doc.Files {
		content, err := read(f.Name)
		if err != nil {
			return nil, noAttachment(f.Name, err)
		}
		if err := runbook.CheckAttachment(f, content); err != nil {
			return nil, err
		}
		if f.SHA256 == "" {
			sum := sha256.Sum256(content)
			return nil, fault.Errorf(fault.Invalid, "read attachment "+f.Name, "the document declares no checksum, by which a plan would be bound to it").
				WithHint("put into the document: files.%s.checksums.sha256: %s", f.Name, hex.EncodeToString(sum[:]))
		}
		out = append(out, content)
	}
	return out, nil
}

// attachmentReader gives what reads the files of place by name.
func attachmentReader(place string) (func(name string) ([]byte, error), error) {
	info, err := os.Stat(place)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(place)
		if err != nil {
			return nil, err
		}
		return func(name string) ([]byte, error) {
			info, err := root.Stat(name)
			if err != nil {
				return nil, err
			}
			if info.Size() > runbook.MaxAttachment {
				return nil, fmt.Errorf("it has %d bytes, the limit is %d", info.Size(), runbook.MaxAttachment)
			}
			return root.ReadFile(name)
		}, nil
	}
	if info.Size() > runbook.MaxAttachment {
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", info.Size(), runbook.MaxAttachment)
	}
	raw, err := os.ReadFile(filepath.Clean(place))
	if err != nil {
		return nil, err
	}
	files, err := runbook.UnpackAttachments(raw)
	if err != nil {
		return nil, err
	}
	return func(name string) ([]byte, error) {
		if content, ok := files[name]; ok {
			return content, nil
		}
		return nil, fmt.Errorf("%s has no file of this name", place)
	}, nil
}

func noAttachment(what string, err error) error {
	return fault.E(fault.Invalid, "read attachment "+what, err).WithHint("name the folder or zip that has the files: --attachments DIR")
}
