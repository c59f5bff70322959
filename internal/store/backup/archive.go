package backup

import (
	"archive/zip"
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// The members of an archive beside the tables.
const (
	manifestName = "manifest.json"
	codeName     = "manifest.hmac"
	keyName      = "data.key"
)

const (
	format      = 1
	maxMembers  = 256
	maxManifest = 1 << 20
	maxKey      = 32 << 10
	// maxGrowth bounds what a member may unpack to, by its packed size. Tables of equal
	// rows reach some hundreds.
	maxGrowth = 2000
	// maxWindow bounds the memory of unpacking.
	maxWindow = 8 << 20
	// checkText is sealed into each archive: whoever opens it has the data key.
	checkText = "parry backup"
)

// Sealer is the data key: it seals, and gives keys for other purposes.
type Sealer interface {
	store.Sealer
	Derive(purpose string) []byte
}

// Manifest says what an archive holds.
type Manifest struct {
	Format   int                  `json:"format"`
	Program  string               `json:"program"` // version of Parry
	MadeAt   time.Time            `json:"made_at"`
	Database string               `json:"database"` // sqlite or postgres
	Schema   map[store.File]int64 `json:"schema"`
	Tables   []Member             `json:"tables"`
	Counters map[string]int64     `json:"counters"`
	Check    []byte               `json:"check"` // sealed
	Key      string               `json:"key,omitempty"`
}

// Member is a table of an archive.
type Member struct {
	Table
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`  // unpacked
	SHA256 string `json:"sha256"` // of those bytes
	Sum    string `json:"sum"`    // of the rows, in no order
}

// Rows are those of all tables.
func (m Manifest) Rows() (n int64) {
	for _, t := range m.Tables {
		n += t.Rows
	}
	return n
}

// Progress is told now and then how many of how many rows are done.
type Progress func(what string, done, all int64)

// Order is what Write needs.
type Order struct {
	Path    string // a file that does not exist yet
	Program string
	Now     time.Time
	Sealer  Sealer
	// Key is the text of the data key file, to be put in. Whoever has such an archive
	// can read all that is sealed.
	Key      []byte
	Progress Progress
}

// Write writes an archive of d. The file has its name once it is whole and on the disk.
func Write(ctx context.Context, d *Database, o Order) (m Manifest, err error) {
	const op = "write the backup"
	if _, err := os.Lstat(o.Path); err == nil {
		return m, fault.Errorf(fault.Conflict, op, "%s exists already", o.Path).WithHint("name another file, or a directory: it gives the backup a name by its time")
	}
	tmp, err := os.CreateTemp(filepath.Dir(o.Path), ".parry-backup-*") // 0600
	if err != nil {
		return m, fault.E(fault.Unavailable, op, err).WithHint("check that %s is there and can be written by this user", filepath.Dir(o.Path))
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	m, err = write(ctx, d, tmp, o)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return m, fault.E(fault.Unavailable, op, err)
	}
	// Unlike a renaming, this replaces nothing that came meanwhile.
	if err := os.Link(tmp.Name(), o.Path); err != nil {
		return m, fault.E(fault.Unavailable, op, err)
	}
	return m, syncDir(filepath.Dir(o.Path))
}

func write(ctx context.Context, d *Database, to io.Writer, o Order) (Manifest, error) {
	m := Manifest{Format: format, Program: o.Program, MadeAt: o.Now.UTC(), Database: d.Dialect, Schema: map[store.File]int64{}}
	var err error
	if m.Check, err = o.Sealer.Seal([]byte(checkText), []byte("backup")); err != nil {
		return m, err
	}
	for _, f := range files() {
		if m.Schema[f], err = d.Version(ctx, f); err != nil {
			return m, err
		}
		if m.Schema[f] == 0 {
			return m, fault.Errorf(fault.NotFound, "read the database", "it holds no tables of Parry").WithHint("check data_dir and database in parry.yaml")
		}
	}
	// Signatures and tries to sign in are of use for minutes, whose lease a node had only
	// while it lives, and who was signed in then signs in anew.
	tables, err := d.Tables(ctx, "node", "seen_signature", "person_session", "sign_in_try")
	if err != nil {
		return m, err
	}
	p, err := newProgress(ctx, d, tables, o.Progress)
	if err != nil {
		return m, err
	}
	out := zip.NewWriter(to)
	out.RegisterCompressor(zstd.ZipMethodWinZip, zstd.ZipCompressor(zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)))
	for _, t := range tables {
		member, err := writeTable(ctx, d, out, t, p)
		if err != nil {
			return m, fmt.Errorf("copy table %s: %w", t.place(), err)
		}
		m.Tables = append(m.Tables, member)
	}
	if m.Counters, err = d.Counters(ctx); err != nil {
		return m, err
	}
	if len(o.Key) > 0 {
		m.Key = digest(o.Key)
		if err := put(out, keyName, o.Key); err != nil {
			return m, err
		}
	}
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return m, err
	}
	return m, errors.Join(put(out, manifestName, raw), put(out, codeName, []byte(code(o.Sealer, raw))), out.Close())
}

// code is what only the holder of the data key can write of a manifest.
func code(s Sealer, manifest []byte) string {
	mac := hmac.New(sha256.New, s.Derive("backup"))
	mac.Write(manifest)
	return hex.EncodeToString(mac.Sum(nil))
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func put(out *zip.Writer, name string, raw []byte) error {
	w, err := out.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	if err != nil {
		return err
	}
	_, err = w.Write(raw)
	return err
}

func writeTable(ctx context.Context, d *Database, out *zip.Writer, t Table, p *progress) (Member, error) {
	m := Member{Table: t}
	w, err := out.CreateHeader(&zip.FileHeader{Name: t.place(), Method: zstd.ZipMethodWinZip})
	if err != nil {
		return m, err
	}
	sha := sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(w, sha), 256<<10)
	var sum Sum
	var raw, length []byte
	err = d.Each(ctx, t, func(row []any) error {
		var err error
		if raw, err = appendRow(raw[:0], row); err != nil {
			return err
		}
		if len(raw) > maxRow {
			return fmt.Errorf("a row has %d bytes, more than %d", len(raw), maxRow)
		}
		sum.add(raw)
		length = binary.AppendUvarint(length[:0], uint64(len(raw)))
		_, _ = buf.Write(length) // an error comes again from Write and Flush
		_, err = buf.Write(raw)
		m.Rows, m.Bytes = m.Rows+1, m.Bytes+int64(len(length)+len(raw))
		p.row(t.place())
		return err
	})
	m.Sum, m.SHA256 = sum.String(), ""
	err = errors.Join(err, buf.Flush())
	m.SHA256 = hex.EncodeToString(sha.Sum(nil))
	return m, err
}

// Archive is one that was opened: its manifest is the installation's own.
type Archive struct {
	Manifest Manifest
	// Key is the text of the data key file, if it was put in.
	Key     []byte
	file    io.Closer
	members map[string]*zip.File
}

// Close closes the file.
func (a *Archive) Close() error { return a.file.Close() }

// Keyring gives the data key of an archive. text is what the archive itself holds, nil
// for nothing.
type Keyring func(text []byte) (Sealer, error)

// Open opens an archive and checks its manifest. Tables are checked by Verify, and
// again as they are read.
func Open(path string, keys Keyring) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.E(fault.NotFound, "open the backup", err)
	}
	info, err := f.Stat()
	if err == nil {
		var a *Archive
		if a, err = read(f, info.Size(), keys); err == nil {
			a.file = f
			return a, nil
		}
	}
	return nil, errors.Join(err, f.Close())
}

func damaged(place, format string, args ...any) *fault.Error {
	return fault.Errorf(fault.Invalid, "check "+place+" of the backup", format, args...).
		WithHint("the file is damaged or no backup of Parry: take another one")
}

func read(in io.ReaderAt, size int64, keys Keyring) (*Archive, error) {
	if err := checkDirectory(in, size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(in, size)
	if err != nil {
		return nil, damaged("the directory", "%v", err)
	}
	z.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(1)))
	a := &Archive{members: map[string]*zip.File{}}
	for _, f := range z.File {
		if a.members[f.Name] != nil {
			return nil, damaged(fmt.Sprintf("member %.100q", f.Name), "it is there twice")
		}
		a.members[f.Name] = f
	}
	raw, err := a.small(manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	if _, ok := a.members[keyName]; ok {
		if a.Key, err = a.small(keyName, maxKey); err != nil {
			return nil, err
		}
	}
	sealer, err := keys(a.Key)
	if err != nil {
		return nil, err
	}
	given, err := a.small(codeName, 1<<10)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(given, []byte(code(sealer, raw))) {
		return nil, fault.Errorf(fault.Denied, "check manifest.json of the backup", "it was not written under this data key, or was changed").
			WithHint("put the data.key that belongs to the backup into data_dir; one that was made --with-key brings its own: --use-key")
	}
	if err := json.Unmarshal(raw, &a.Manifest); err != nil {
		return nil, damaged(manifestName, "%v", err)
	}
	if plain, err := sealer.Open(a.Manifest.Check, []byte("backup")); err != nil || string(plain) != checkText {
		return nil, fault.Errorf(fault.Denied, "check the data key", "the newest key of the backup is not in the data key file").
			WithHint("put the data.key that belongs to the backup into data_dir")
	}
	return a, a.complete()
}

// checkDirectory looks at the end of the file before anything makes room for what a
// directory says: of ours it has few entries, and no comment.
func checkDirectory(in io.ReaderAt, size int64) error {
	const end, end64, locator, most = 22, 56, 20, 1 << 20
	var tail [end64 + locator + end]byte
	n := min(size, int64(len(tail)))
	if _, err := in.ReadAt(tail[len(tail)-int(n):], size-n); err != nil && !errors.Is(err, io.EOF) {
		return fault.E(fault.Unavailable, "read the backup", err)
	}
	last := tail[len(tail)-end:]
	if n < end || string(last[:4]) != "PK\x05\x06" || last[20] != 0 || last[21] != 0 {
		return damaged("the end", "it is cut off, or not as Parry writes it")
	}
	entries, bytes := uint64(binary.LittleEndian.Uint16(last[10:])), uint64(binary.LittleEndian.Uint32(last[12:]))
	if entries == math.MaxUint16 || bytes == math.MaxUint32 || binary.LittleEndian.Uint32(last[16:]) == math.MaxUint32 { // of an archive over 4 GB
		at, to := tail[:end64], tail[end64:end64+locator]
		if string(at[:4]) != "PK\x06\x06" || string(to[:4]) != "PK\x06\x07" || binary.LittleEndian.Uint64(to[8:]) != uint64(size)-uint64(len(tail)) { //nolint:gosec // neither is negative
			return damaged("the end", "it is not as Parry writes it")
		}
		entries, bytes = binary.LittleEndian.Uint64(at[32:]), binary.LittleEndian.Uint64(at[40:])
	}
	if entries > maxMembers || bytes > most {
		return damaged("the directory", "it has %d members, more than %d", entries, maxMembers)
	}
	return nil
}

// small reads a member that is kept in memory.
func (a *Archive) small(name string, limit int64) ([]byte, error) {
	f := a.members[name]
	if f == nil {
		return nil, damaged(name, "it is missing")
	}
	in, err := f.Open()
	if err != nil {
		return nil, damaged(name, "%v", err)
	}
	raw, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, damaged(name, "%v", err)
	}
	if int64(len(raw)) > limit {
		return nil, damaged(name, "it has more than %d bytes", limit)
	}
	return raw, nil
}

// complete holds the manifest against the members.
func (a *Archive) complete() error {
	m := a.Manifest
	if m.Format != format {
		return fault.Errorf(fault.Conflict, "check manifest.json of the backup", "it has format %d, this program knows %d", m.Format, format).
			WithHint("run the version of parry that wrote it: %s", m.Program)
	}
	want := []string{manifestName, codeName}
	if m.Key != "" {
		want = append(want, keyName)
		if digest(a.Key) != m.Key {
			return damaged(keyName, "it does not have the digest of the manifest")
		}
	}
	for _, t := range m.Tables {
		if !slices.Contains(files(), t.File) || t.Name == "" || len(t.Columns) == 0 || t.Rows < 0 || t.Bytes < 0 {
			return damaged(manifestName, "table %.100q is not described", t.place())
		}
		want = append(want, t.place())
	}
	for _, name := range want {
		if a.members[name] == nil {
			return damaged("table "+name, "it is missing")
		}
	}
	for name := range a.members {
		if !slices.Contains(want, name) {
			return damaged(fmt.Sprintf("member %.100q", name), "the manifest does not know it")
		}
	}
	return nil
}

// Verify reads every table, and nothing is kept.
func (a *Archive) Verify(ctx context.Context, report Progress) error {
	p := &progress{report: report, all: a.Manifest.Rows()}
	for _, m := range a.Manifest.Tables {
		if err := a.each(m, func([]any) error {
			p.row(m.place())
			return ctx.Err()
		}); err != nil {
			return err
		}
	}
	return nil
}

// each reads a table. Only when it ends without an error was everything read that was
// written.
func (a *Archive) each(m Member, row func([]any) error) error {
	place := "table " + m.place()
	f := a.members[m.place()]
	if f.CompressedSize64 < uint64(m.Bytes)/maxGrowth { //nolint:gosec // it is not negative
		return damaged(place, "%d bytes are to unpack to %d", f.CompressedSize64, m.Bytes)
	}
	packed, err := f.Open()
	if err != nil {
		return damaged(place, "%v", err)
	}
	defer func() { _ = packed.Close() }() // it is only read
	c := &counted{in: io.LimitReader(packed, m.Bytes), sha: sha256.New()}
	in := bufio.NewReaderSize(c, 256<<10)
	var rows int64
	var sum Sum
	for {
		raw, err := readRow(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return damaged(place, "behind row %d: %v", rows, err)
		}
		values, err := parseRow(raw, len(m.Columns))
		if err != nil {
			return damaged(place, "row %d: %v", rows+1, err)
		}
		rows++
		sum.add(raw)
		if err := row(values); err != nil {
			return err
		}
	}
	var one [1]byte
	if n, err := io.ReadFull(packed, one[:]); n > 0 || !errors.Is(err, io.EOF) {
		return damaged(place, "it goes on behind its %d bytes (%v)", m.Bytes, err)
	}
	if rows != m.Rows || c.n != m.Bytes || hex.EncodeToString(c.sha.Sum(nil)) != m.SHA256 || sum.String() != m.Sum {
		return damaged(place, "%d rows do not have the digest of the %d that were written", rows, m.Rows)
	}
	return nil
}

// counted digests what is read through it.
type counted struct {
	in  io.Reader
	sha hash.Hash
	n   int64
}

// Read reads on.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	c.sha.Write(p[:n])
	return n, err
}

// progress counts rows and reports now and then.
type progress struct {
	report    Progress
	done, all int64
}

// every is how many rows lie between two reports.
const every = 500

func newProgress(ctx context.Context, d *Database, tables []Table, report Progress) (*progress, error) {
	p := &progress{report: report}
	for _, t := range tables {
		n, err := d.Count(ctx, t)
		if err != nil {
			return nil, err
		}
		p.all += n
	}
	return p, nil
}

func (p *progress) row(what string) { p.rows(what, 1) }

func (p *progress) rows(what string, n int64) {
	before := p.done / every
	if p.done += n; p.report != nil && (p.done/every != before || p.done == p.all) {
		p.report(what, p.done, p.all)
	}
}

// Name is the name of a backup that was made at t.
func Name(t time.Time) string {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return "parry-" + t.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:]) + ".backup"
}

// syncDir makes a new name in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
