package runbook_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

func TestCheckAttachment(t *testing.T) {
	t.Parallel()
	const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc"
	for name, tt := range map[string]struct {
		file    runbook.File
		content string
		fails   string
	}{
		"right":    {runbook.File{Name: "a.py", SHA256: sum, Size: 3}, "abc", ""},
		"no sum":   {runbook.File{Name: "a.py"}, "anything", ""},
		"size":     {runbook.File{Name: "a.py", SHA256: sum, Size: 4}, "abc", "has 3 bytes, the document says 4"},
		"sum":      {runbook.File{Name: "a.py", SHA256: sum}, "abd", "the document says " + sum},
		"too long": {runbook.File{Name: "a.py"}, strings.Repeat("x", runbook.MaxAttachment+1), "the limit is"},
	} {
		err := runbook.CheckAttachment(tt.file, []byte(tt.content))
		if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
			t.Errorf("%s: error %v, want %q", name, err, tt.fails)
		}
	}
}

type entry struct {
	name, content string
	mode          fs.FileMode
}

func zipped(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(e.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpackAttachments(t *testing.T) {
	t.Parallel()
	got, err := runbook.UnpackAttachments(zipped(t, entry{name: "lib/"}, entry{name: "lib/__init__.py"}, entry{name: "./main.py", content: "x = 1"}))
	if diff := cmp.Diff(map[string][]byte{"lib/__init__.py": {}, "main.py": []byte("x = 1")}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	many := make([]entry, runbook.MaxUnpacked+1)
	for i := range many {
		many[i].name = strings.Repeat("a", i+1)
		if i >= 1000 {
			many[i].name = "b"
		}
	}
	for name, tt := range map[string]struct {
		raw  []byte
		code fault.Code
	}{
		"no zip":   {[]byte("PK nothing"), fault.Invalid},
		"up":       {zipped(t, entry{name: "../x.py"}), fault.Invalid},
		"within":   {zipped(t, entry{name: "a/../../x.py"}), fault.Invalid},
		"absolute": {zipped(t, entry{name: "/etc/x.py"}), fault.Invalid},
		"windows":  {zipped(t, entry{name: `..\x.py`}), fault.Invalid},
		"drive":    {zipped(t, entry{name: "C:x.py"}), fault.Invalid},
		"link":     {zipped(t, entry{name: "x.py", content: "/etc/passwd", mode: fs.ModeSymlink | 0o777}), fault.Invalid},
		"device":   {zipped(t, entry{name: "x.py", mode: fs.ModeDevice | 0o666}), fault.Invalid},
		"twice":    {zipped(t, entry{name: "x.py"}, entry{name: "x.py"}), fault.Invalid},
		"many":     {zipped(t, many...), fault.Exhausted},
		"bomb":     {zipped(t, entry{name: "x.py", content: strings.Repeat("\x00", runbook.MaxAttachment+1)}), fault.Exhausted},
		"two":      {zipped(t, entry{name: "x.py", content: strings.Repeat("\x00", runbook.MaxAttachment-1)}, entry{name: "y.py", content: "abc"}), fault.Exhausted},
	} {
		if _, err := runbook.UnpackAttachments(tt.raw); !fault.Is(err, tt.code) {
			t.Errorf("%s: error %v, want code %s", name, err, tt.code)
		}
	}
}

func TestAttachedScripts(t *testing.T) {
	t.Parallel()
	d := parse(t, `schemaVersion: '0.3'
files: {one.py: {}, lib.zip: {}, gone.py: {}}
mainSteps:
- {name: One, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: one.main, Attachment: one.py}}
- {name: Zip, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: pkg.mod.main, Attachment: lib.zip}}
- {name: Lost, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: other.main, Attachment: lib.zip}}
- {name: Gone, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: gone.main, Attachment: gone.py}}
- {name: Both, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: h, Script: 'x', Attachment: one.py}}
`)
	got := d.AttachedScripts(map[string][]byte{"one.py": []byte("1"), "lib.zip": zipped(t, entry{name: "pkg/mod.py", content: "2"})})
	if diff := cmp.Diff(map[string]string{"One": "1", "Zip": "2"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzUnpackAttachments: no archive gives a path that leads out, or more than the
// limits.
func FuzzUnpackAttachments(f *testing.F) {
	f.Add(zipped(f, entry{name: "a/b.py", content: "x"}))
	f.Add(zipped(f, entry{name: "../b.py", content: "x"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		files, err := runbook.UnpackAttachments(raw)
		if err != nil {
			return
		}
		size := 0
		for name, content := range files {
			size += len(content)
			if !fs.ValidPath(name) || name == "." {
				t.Errorf("path %q", name)
			}
		}
		if size > runbook.MaxAttachment || len(files) > runbook.MaxUnpacked {
			t.Errorf("%d files of %d bytes", len(files), size)
		}
	})
}
