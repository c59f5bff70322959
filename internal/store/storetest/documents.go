package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func documentTests() []conformance {
	return []conformance{
		{"document/grows version by version", documentLife},
		{"document/two writers, one wins", documentConflict},
		{"document/is listed by name", documentList},
		{"blob/is kept once and as long as it is used", blobLife},
	}
}

func documentVersion(content string) store.DocumentVersion {
	sum := sha256.Sum256([]byte(content))
	return store.DocumentVersion{
		Revision: hex.EncodeToString(sum[:]), Content: content, Format: "YAML", VersionName: "first", CreatedBy: "alice", CreatedAt: Start(),
		Attachments: []store.DocumentAttachment{{Name: "lib.zip", SHA256: "ab", Size: 7}},
	}
}

func documentLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	d := store.DocumentRecord{Name: "Close-Port", CreatedAt: Start(), CreatedBy: "alice", Tags: map[string]string{"team": "net"}}
	v := documentVersion("schemaVersion: '0.3'")
	ok(t, s.CreateDocument(ctx, d, v, event("created")))
	sentinel(t, s.CreateDocument(ctx, d, v, event("never-sent")), store.ErrExists)
	d.Latest, d.Default, d.Rev = 1, 1, 1
	same(t, d, must(s.Document(ctx, "Close-Port"))(t))
	v.Name, v.Version = "Close-Port", 1
	same(t, v, must(s.DocumentVersion(ctx, "Close-Port", 1))(t))
	for _, size := range []int64{8, 9} { // given twice, the later counts
		ok(t, s.PutVersionAttachment(ctx, "Close-Port", 1, store.DocumentAttachment{Name: "more.py", SHA256: "cd", Size: size}, store.Effects{}))
	}
	v.Attachments = append(v.Attachments, store.DocumentAttachment{Name: "more.py", SHA256: "cd", Size: 9})
	same(t, v, must(s.DocumentVersion(ctx, "Close-Port", 1))(t))
	sentinel(t, s.PutVersionAttachment(ctx, "Close-Port", 9, store.DocumentAttachment{Name: "x"}, event("never-sent")), store.ErrNotFound)
	second := documentVersion("schemaVersion: '0.3' # better")
	d = must(s.UpdateDocument(ctx, d, &second, store.Effects{}))(t)
	same(t, []any{2, 1, int64(2)}, []any{d.Latest, d.Default, d.Rev})
	same(t, d, must(s.Document(ctx, "Close-Port"))(t))
	_, err := s.UpdateDocument(ctx, d, &second, event("never-sent"))
	sentinel(t, err, store.ErrExists)
	d.Default = 2
	d = must(s.UpdateDocument(ctx, d, nil, store.Effects{}))(t)
	same(t, 2, must(s.Document(ctx, "Close-Port"))(t).Default)
	d.Default = 3
	_, err = s.UpdateDocument(ctx, d, nil, store.Effects{})
	code(t, err, fault.Invalid)
	same(t, 2, must(s.DocumentVersions(ctx, "Close-Port", 0, 1))(t)[0].Version)
	same(t, 1, must(s.DocumentVersions(ctx, "Close-Port", 2, 1))(t)[0].Version)
	code(t, s.DeleteDocumentVersion(ctx, "Close-Port", 2, event("never-sent")), fault.Conflict)
	ok(t, s.DeleteDocumentVersion(ctx, "Close-Port", 1, store.Effects{}))
	sentinel(t, s.DeleteDocumentVersion(ctx, "Close-Port", 1, store.Effects{}), store.ErrNotFound)
	same(t, 1, must(s.CountDocuments(ctx))(t))
	ok(t, s.DeleteDocument(ctx, "Close-Port", store.Effects{}))
	sentinel(t, s.DeleteDocument(ctx, "Close-Port", store.Effects{}), store.ErrNotFound)
	_, err = s.DocumentVersion(ctx, "Close-Port", 1)
	sentinel(t, err, store.ErrNotFound)
	same(t, []string{"created"}, claimIDs(t, s, store.Execution))
	wrong := documentVersion("a")
	wrong.Content = "b"
	code(t, s.CreateDocument(ctx, store.DocumentRecord{Name: "x"}, wrong, store.Effects{}), fault.Invalid)
	code(t, s.CreateDocument(ctx, store.DocumentRecord{Name: "x"}, documentVersion(strings.Repeat("a", store.MaxDocumentContent+1)), store.Effects{}), fault.Invalid)
}

func documentConflict(t *testing.T, s *store.Store) {
	ctx := t.Context()
	d := store.DocumentRecord{Name: "Doc", CreatedAt: Start()}
	ok(t, s.CreateDocument(ctx, d, documentVersion("1"), store.Effects{}))
	read := must(s.Document(ctx, "Doc"))(t)
	second, third := documentVersion("2"), documentVersion("3")
	must(s.UpdateDocument(ctx, read, &second, store.Effects{}))(t)
	_, err := s.UpdateDocument(ctx, read, &third, store.Effects{})
	sentinel(t, err, store.ErrConflict)
	_, err = s.DocumentVersion(ctx, "Doc", 3)
	sentinel(t, err, store.ErrNotFound)
}

func documentList(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 7 {
		ok(t, s.CreateDocument(ctx, store.DocumentRecord{Name: fmt.Sprintf("%c-%d", 'A'+i%2, i), CreatedAt: Start()}, documentVersion("1"), store.Effects{}))
	}
	var got []string
	after := "A-6"
	for {
		page := must(s.ListDocuments(ctx, after, 2))(t)
		if len(page) == 0 {
			break
		}
		for _, d := range page {
			got = append(got, d.Name)
		}
		after = got[len(got)-1]
	}
	same(t, []string{"B-1", "B-3", "B-5"}, got)
}

func blobLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	content := []byte(strings.Repeat("output ", 20_000))
	sum := must(s.PutBlob(ctx, store.ExecutionBlobs("exe-1"), content))(t)
	same(t, sum, must(s.PutBlob(ctx, store.DocumentBlobs("Doc"), content))(t))
	same(t, string(content), string(must(s.Blob(ctx, sum))(t)))
	clock(t, s).Advance(time.Hour)
	c := store.Cutoffs{Blobs: clock(t, s).Now()}
	ok(t, s.ReleaseBlobs(ctx, store.ExecutionBlobs("exe-1")))
	same(t, int64(0), must(s.Prune(ctx, c))(t).Blobs)
	ok(t, s.ReleaseBlobs(ctx, store.DocumentBlobs("Doc")))
	same(t, int64(1), must(s.Prune(ctx, c))(t).Blobs)
	_, err := s.Blob(ctx, sum)
	sentinel(t, err, store.ErrNotFound)
	_, err = s.PutBlob(ctx, "x", make([]byte, store.MaxBlob+1))
	code(t, err, fault.Exhausted)
	_, err = s.PutBlob(ctx, "", nil)
	code(t, err, fault.Invalid)
}
