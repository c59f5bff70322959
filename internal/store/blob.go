package store

import (
	"context"

	"github.com/parry-security/parry/internal/fault"
)

// MaxBlob is the largest content that is kept, in bytes.
const MaxBlob = 16 << 20

const blobTable = "blob"

// ExecutionBlobs names an execution as the user of blobs; they go with it.
func ExecutionBlobs(id string) string { return "execution/" + id }

// PutBlob keeps content, sealed, under its SHA-256 as long as owner uses it, and gives
// the SHA-256. Content that is there is kept once.
func (s *Store) PutBlob(ctx context.Context, owner string, content []byte) (string, error) {
	const op = "keep content"
	if err := checkID(op, "owner", owner); err != nil {
		return "", err
	}
	if len(content) > MaxBlob {
		return "", fault.Errorf(fault.Exhausted, op, "it has %d bytes, the limit is %d", len(content), MaxBlob)
	}
	sum := string(digest(content))
	sealed, err := s.sealer.Seal(s.docs.pack(content), aad(blobTable, sum))
	if err != nil {
		return "", s.fail(op, err)
	}
	return sum, s.write(ctx, Execution, op, func(t *tx) error {
		if _, err := t.changed(ctx, s.q.BlobPut, sum, int64(len(content)), micros(s.now()), sealed); err != nil {
			return err
		}
		_, err := t.changed(ctx, s.q.BlobUse, owner, sum)
		return err
	})
}

// Blob gives the content with a SHA-256.
func (s *Store) Blob(ctx context.Context, sha256 string) ([]byte, error) {
	op := "read content " + sha256
	content, err := one(ctx, s.execution.Read, s.q.BlobRead, []any{text(sha256, maxID)}, func(r scanner) ([]byte, error) {
		var sealed []byte
		if err := r.Scan(&sealed); err != nil {
			return nil, err
		}
		packed, err := s.sealer.Open(sealed, aad(blobTable, sha256))
		if err != nil {
			return nil, err
		}
		return s.docs.unpack(packed)
	})
	if err != nil {
		return nil, s.fail(op, err)
	}
	if string(digest(content)) != sha256 {
		return nil, fault.Errorf(fault.Internal, op, "the stored content does not have the checksum it is stored under")
	}
	return content, nil
}

// ReleaseBlobs says that owner uses nothing any more; Prune removes what nobody uses.
func (s *Store) ReleaseBlobs(ctx context.Context, owner string) error {
	return s.write(ctx, Execution, "release content", func(t *tx) error {
		_, err := t.changed(ctx, s.q.BlobRelease, owner)
		return err
	})
}
