package scenarios_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// world is what the scenarios share: the program, the emulated organization and,
// for those that ask, a PostgreSQL server.
type world struct {
	dir     string
	program string
	env     *testenv.Env

	original map[string]json.RawMessage // from the estate, by bucket
	owner    map[string]string          // canonical id, by member
	buckets  atomic.Int64
	database atomic.Int64
	postgres func() (*testenv.Postgres, error)
}

// shared starts the world once, for whichever scenario comes first.
var (
	shared = sync.OnceValues(newWorld)
	begun  atomic.Bool
)

func TestMain(m *testing.M) {
	if order := os.Getenv(envApply); order != "" {
		os.Exit(applyAndReport(order))
	}
	flag.Parse()
	// Scenarios mostly wait: for leases, for pauses between attempts.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	code := m.Run()
	if begun.Load() {
		if w, _ := shared(); w != nil {
			w.stop()
		}
	}
	os.Exit(code)
}

// earth gives the world, or skips with -short.
func earth(t *testing.T) *world {
	t.Helper()
	envtest.Needs(t)
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// newWorld gives what there is to stop even when it fails.
func newWorld() (*world, error) {
	begun.Store(true)
	dir, err := os.MkdirTemp("", "parry-scenarios-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, program: filepath.Join(dir, "parry"), owner: map[string]string{}}
	w.postgres = sync.OnceValues(func() (*testenv.Postgres, error) { return testenv.StartPostgres(context.Background(), dir) })
	if err := w.build(); err != nil {
		return w, err
	}
	at := filepath.Join(dir, "world")
	if err := os.Mkdir(at, 0o700); err != nil {
		return w, err
	}
	if w.env, err = testenv.Start(context.Background(), testenv.Options{Dir: at, Python: os.Getenv("PARRY_PYTHON")}); err != nil {
		return w, err
	}
	return w, w.readEstate()
}

// build makes the binary as it is released, without the race detector.
func (w *world) build() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			return fmt.Errorf("there is no go.mod above the test")
		}
		root = filepath.Dir(root)
	}
	cmd := exec.Command("go", "build", "-o", w.program, "./cmd/parry") //nolint:noctx // the test's own time limit ends it
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build parry: %w\n%s", err, out)
	}
	return nil
}

func (w *world) readEstate() error {
	raw, err := os.ReadFile(w.env.EstateFile())
	if err != nil {
		return err
	}
	var estate struct {
		Original map[string]json.RawMessage `json:"original"`
	}
	if err := json.Unmarshal(raw, &estate); err != nil {
		return err
	}
	w.original = estate.Original
	for name, m := range w.env.Estate.Members {
		var b struct {
			Owner string `json:"owner"`
		}
		if err := json.Unmarshal(w.original[m.PublicBucket], &b); err != nil {
			return err
		}
		w.owner[name] = b.Owner
	}
	return nil
}

func (w *world) stop() {
	if w.env != nil {
		w.env.Stop()
	}
	if w.database.Load() > 0 {
		if p, err := w.postgres(); err == nil {
			p.Stop()
		}
	}
	_ = os.RemoveAll(w.dir) // a leftover in the temporary directory harms nobody
}

// bucket is a public bucket of a scenario's own, made like the estate's: no
// Block Public Access, a public statement beside a named one, a public grant.
type bucket struct {
	w       *world
	member  string // dev or prod
	name    string
	control string // under which it is reported
	since   int64  // last entry of the log before the scenario
}

func (w *world) bucket(t *testing.T, member string) *bucket {
	t.Helper()
	b := &bucket{w: w, member: member, name: fmt.Sprintf("%s-scenario-%d", member, w.buckets.Add(1)), control: "S3.2"}
	for _, c := range [][]string{
		{http.MethodPut, "/" + b.name, "", "X-Amz-Object-Ownership", "ObjectWriter"},
		{http.MethodDelete, "/" + b.name + "?publicAccessBlock", ""},
		{http.MethodPut, "/" + b.name + "?acl", "", "X-Amz-Acl", "public-read"},
		{http.MethodPut, "/" + b.name + "?policy", b.like(w.policy(t, member))},
		{http.MethodPut, "/" + b.name + "/index.html", "<h1>hello</h1>\n"},
	} {
		if a := b.call(t, c[0], c[1], c[2], c[3:]...); a.Err != nil || a.Status >= 300 {
			t.Fatalf("make bucket %s: %s %s: %d %s %v", b.name, c[0], c[1], a.Status, a.Body, a.Err)
		}
	}
	for _, e := range w.env.Wall.Log() {
		b.since = e.Seq
	}
	return b
}

// policy is the bucket policy of the estate's public bucket.
func (w *world) policy(t *testing.T, member string) string {
	t.Helper()
	var original struct {
		Policy json.RawMessage `json:"policy"`
	}
	if err := json.Unmarshal(w.original[w.env.Estate.Members[member].PublicBucket], &original); err != nil {
		t.Fatal(err)
	}
	return string(original.Policy)
}

// like writes what is said of the estate's public bucket of this one.
func (b *bucket) like(text string) string {
	return strings.ReplaceAll(text, b.w.env.Estate.Members[b.member].PublicBucket, b.name)
}

// call is made by the member's own administrator of S3, past Parry.
func (b *bucket) call(t *testing.T, method, path, body string, header ...string) envtest.Answer {
	t.Helper()
	return envtest.Call(t, b.w.env, envtest.Of(b.w.env.Estate.Members[b.member].Owner), "s3", method, path, body, header...)
}

func (b *bucket) arn() string     { return "arn:aws:s3:::" + b.name }
func (b *bucket) account() string { return b.w.env.Estate.Members[b.member].Account }

// judge holds buckets, and the private twins of their members, against what they
// should be: "fixed" or "original". It is a program of its own that reads with
// the members' credentials.
func (w *world) judge(t *testing.T, want string, buckets ...*bucket) {
	t.Helper()
	members, original := document{}, document{}
	for _, b := range buckets {
		m := w.env.Estate.Members[b.member]
		members[b.name] = document{"account": m.Account, "public_bucket": b.name, "private_bucket": m.PrivateBucket, "judge": m.Judge}
		original[b.name] = json.RawMessage(b.like(string(w.original[m.PublicBucket])))
		original[m.PrivateBucket] = w.original[m.PrivateBucket]
	}
	raw, err := json.Marshal(document{"endpoint": w.env.WallURL, "region": w.env.Estate.Region, "members": members, "original": original})
	if err != nil {
		t.Fatal(err)
	}
	estate := filepath.Join(t.TempDir(), "estate.json")
	if err := os.WriteFile(estate, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := w.env.Run(t.Context(), "judge.py", "expect", estate, "--all", want); err != nil {
		t.Errorf("not %s: %v\n%s", want, err, out)
	}
}

// calls gives Parry's calls about the bucket that came after entry seq, made in
// sessions whose name begins with session ("" = all).
func (b *bucket) calls(session string, after int64) []awswall.Entry {
	var out []awswall.Entry
	for _, e := range b.w.env.Wall.Log() {
		if e.Bucket == b.name && e.Seq > max(after, b.since) && strings.HasPrefix(e.Session, "parry-"+session) {
			out = append(out, e)
		}
	}
	return out
}

// changed gives the operations that changed the bucket, in order.
func (b *bucket) changed(after int64) []string {
	var out []string
	for _, e := range b.calls("", after) {
		if e.Changed() {
			out = append(out, e.Operation)
		}
	}
	return out
}

// now is the last entry of the log.
func (w *world) now() int64 {
	log := w.env.Wall.Log()
	if len(log) == 0 {
		return 0
	}
	return log[len(log)-1].Seq
}

func operations(entries []awswall.Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Operation)
	}
	return out
}
