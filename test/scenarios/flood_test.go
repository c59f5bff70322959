package scenarios_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
	"github.com/parry-security/parry/internal/triage"
)

const (
	// envKills is how often the server is killed under full ingest, on each database;
	// envSeed repeats a run.
	envKills     = "PARRY_TEST_KILLS"
	envSeed      = "PARRY_TEST_SEED"
	defaultKills = 4
	senders      = 8
)

func fromEnv(t *testing.T, name string, without uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return without
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestKillsUnderFullIngest kills the server at random moments while many connections
// import findings, new ones and new versions of those that are there. What was accepted
// is there once, as last accepted; what was refused is not; counters and priorities are
// those of a recount; every accepted version was told of on the bus.
func TestKillsUnderFullIngest(t *testing.T) {
	t.Parallel()
	w := earth(t)
	seed := fromEnv(t, envSeed, uint64(time.Now().UnixNano())) //nolint:gosec // it is positive
	kills := fromEnv(t, envKills, defaultKills)
	for name, edits := range map[string]func(t *testing.T) []func(document){
		"SQLite":     func(*testing.T) []func(document) { return nil },
		"PostgreSQL": func(t *testing.T) []func(document) { return []func(document){w.onPostgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("%d kills, %s=%d", kills, envSeed, seed)
			hook := newHook(t)
			i := w.install(t, append(edits(t), hook.configure)...)
			i.environ = []string{"FLOOD_SECRET=0123456789abcdef"}
			out, err := i.parry(t, "", "key", "create", "flood", "-o", "json", "--role", "source", "--account", w.env.Estate.Members["dev"].Account, "--product", "aws/securityhub")
			if err != nil {
				t.Fatal(err)
			}
			i.keys["flood"] = decode[key](t, out)
			f := newFlood(t, i.serve(t), seed)
			f.run(int(kills)) //nolint:gosec // a small number
			f.check(hook)
		})
	}
}

// hook is where the bus sends what it is told of findings that are watched.
type hook struct {
	url string

	mu   sync.Mutex
	seen map[string]map[int]int // by finding and version, how often
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{seen: map[string]map[int]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p webhook.Payload
		var detail struct {
			Findings []struct{ Id, Title string }
		}
		if json.NewDecoder(r.Body).Decode(&p) != nil || json.Unmarshal(p.Event.Detail, &detail) != nil || len(detail.Findings) != 1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		id, version := detail.Findings[0].Id, versionOf(detail.Findings[0].Title)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.seen[id] == nil {
			h.seen[id] = map[int]int{}
		}
		h.seen[id][version]++
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *hook) configure(cfg document) {
	cfg["bus_rules"] = []document{{"name": "watched", "channels": []string{"hook"}, "pattern": document{
		"source": []string{"aws.securityhub"}, "detail-type": []string{"Security Hub Findings - Imported"},
		"detail": document{"findings": document{"Title": []document{{"prefix": "watched "}}}},
	}}}
	cfg["channels"] = []document{{"name": "hook", "kind": "webhook", "url": h.url, "secret_env": "FLOOD_SECRET"}}
}

// versionOf reads the version that a title ends with.
func versionOf(title string) int {
	_, v, _ := strings.Cut(title, " v")
	n, err := strconv.Atoi(v)
	if err != nil {
		return -1
	}
	return n
}

// flood imports findings from many connections. Each sender has its own, so that their
// versions have one order.
type flood struct {
	t    *testing.T
	n    *node
	seed uint64

	endpoint atomic.Value // of the server that runs; a string
	sent     []map[string]*history
	refused  []map[string]bool
	requests atomic.Int64
	lost     atomic.Int64 // requests that had no answer
}

// history is what became of one finding.
type history struct {
	accepted []int // versions
	unknown  []int // versions whose answer was lost
	next     int
	threat   bool
	watched  bool
	resource int
}

func newFlood(t *testing.T, n *node, seed uint64) *flood {
	t.Helper()
	f := &flood{t: t, n: n, seed: seed}
	f.endpoint.Store(n.endpoint)
	for range senders {
		f.sent, f.refused = append(f.sent, map[string]*history{}), append(f.refused, map[string]bool{})
	}
	return f
}

// run floods and kills.
func (f *flood) run(kills int) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, senders)
	for i := range senders {
		wg.Go(func() { errs[i] = f.send(ctx, i) })
	}
	random := rand.New(rand.NewPCG(f.seed, 99)) //nolint:gosec // a repeatable order of kills
	began := time.Now()
	for range kills {
		time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		f.n.kill()
		f.n.start()
		f.endpoint.Store(f.n.endpoint) // of a new port: senders go on
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		f.t.Fatal(err)
	}
	f.t.Logf("%d kills in %s; %d requests, %d without an answer", kills, time.Since(began).Round(time.Millisecond), f.requests.Load(), f.lost.Load())
}

// send is one connection.
func (f *flood) send(ctx context.Context, sender int) error {
	random := rand.New(rand.NewPCG(f.seed, uint64(sender))) //nolint:gosec // as above
	web := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer web.CloseIdleConnections()
	var known []string
	for ctx.Err() == nil {
		batch := map[string]int{} // version by id
		var findings []document
		for range 1 + random.IntN(100) {
			dice := random.IntN(100)
			switch {
			case dice < 3:
				id := fmt.Sprintf("bad-%d-%d", sender, len(f.refused[sender]))
				f.refused[sender][id] = true
				findings = append(findings, f.bad(id, dice))
				continue
			case dice < 60 || len(known) == 0:
				id := fmt.Sprintf("flood-%d-%d", sender, len(known))
				known = append(known, id)
				f.sent[sender][id] = &history{threat: random.IntN(20) == 0, watched: random.IntN(25) == 0, resource: random.IntN(200)}
			}
			id := known[random.IntN(len(known))]
			if dice < 60 {
				id = known[len(known)-1]
			}
			h := f.sent[sender][id]
			if _, twice := batch[id]; twice {
				continue
			}
			h.next++
			batch[id] = h.next
			findings = append(findings, f.finding(id, h, random))
		}
		if len(findings) == 0 {
			continue
		}
		at := f.endpoint.Load().(string)
		failed, err := f.post(ctx, web, at, findings)
		f.requests.Add(1)
		if err != nil {
			f.lost.Add(1)
			for id, version := range batch {
				f.sent[sender][id].unknown = append(f.sent[sender][id].unknown, version)
			}
			for f.endpoint.Load() == at && ctx.Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			continue
		}
		for id, version := range batch {
			if failed[id] != "" {
				return fmt.Errorf("%s was refused: %s", id, failed[id])
			}
			f.sent[sender][id].accepted = append(f.sent[sender][id].accepted, version)
		}
		for _, d := range findings {
			if id := d["Id"].(string); strings.HasPrefix(id, "bad-") && failed[id] == "" {
				return fmt.Errorf("%s was accepted", id)
			}
		}
	}
	return nil
}

func (f *flood) account() string { return f.n.w.env.Estate.Members["dev"].Account }

// finding is the next version of a finding: another title, time, severity and state.
func (f *flood) finding(id string, h *history, random *rand.Rand) document {
	region := f.n.w.env.Estate.Region
	kind := "flood"
	if h.watched {
		kind = "watched"
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(h.next) * time.Second).Format(time.RFC3339)
	control := fmt.Sprintf("S3.%d", 1+random.IntN(20))
	d := document{
		"SchemaVersion": "2018-10-08", "Id": id, "ProductArn": "arn:aws:securityhub:" + region + "::product/aws/securityhub",
		"Region": region, "GeneratorId": "aws-foundational-security-best-practices/v/1.0.0/" + control, "AwsAccountId": f.account(),
		"CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": at, "Title": fmt.Sprintf("%s v%d", kind, h.next), "Description": "One of very many.",
		"Severity":    document{"Label": []string{"LOW", "MEDIUM", "HIGH", "CRITICAL"}[random.IntN(4)]},
		"Resources":   []document{{"Type": "AwsS3Bucket", "Id": fmt.Sprintf("arn:aws:s3:::flood-%d", h.resource), "Region": region}},
		"RecordState": []string{"ACTIVE", "ACTIVE", "ACTIVE", "ARCHIVED"}[random.IntN(4)],
	}
	if h.threat {
		d["Types"] = []string{"TTPs/Discovery/Recon"}
		return d
	}
	d["Types"] = []string{"Software and Configuration Checks/Industry and Regulatory Standards"}
	d["Compliance"] = document{"Status": []string{"PASSED", "FAILED", "FAILED", "WARNING"}[random.IntN(4)], "SecurityControlId": control}
	return d
}

// bad is a finding that must be refused: it lacks what it needs, or is of an account
// that the key may not speak for.
func (f *flood) bad(id string, dice int) document {
	d := f.finding(id, &history{next: 1}, rand.New(rand.NewPCG(1, 1))) //nolint:gosec // no matter
	if dice == 0 {
		delete(d, "Title")
	} else {
		d["AwsAccountId"] = f.n.w.env.Estate.Members["prod"].Account
	}
	return d
}

// post sends one request and gives what was refused in it. An error says that it is not
// known what became of the request.
func (f *flood) post(ctx context.Context, web *http.Client, endpoint string, findings []document) (map[string]string, error) {
	body, err := json.Marshal(document{"Findings": findings})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/findings/import", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	k := f.n.keys["flood"]
	if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}, req, hex.EncodeToString(sum[:]), "securityhub", "us-east-1", time.Now()); err != nil {
		return nil, err
	}
	res, err := web.Do(req)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	var out struct {
		SuccessCount, FailedCount int
		FailedFindings            []struct{ Id, ErrorMessage string }
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("import answered %d: %.200s", res.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	failed := map[string]string{}
	for _, one := range out.FailedFindings {
		failed[one.Id] = one.ErrorMessage
	}
	if out.SuccessCount+out.FailedCount != len(findings) {
		return nil, fmt.Errorf("%d and %d of %d", out.SuccessCount, out.FailedCount, len(findings))
	}
	return failed, nil
}

// check waits until all is done, stops the server and looks into its database.
func (f *flood) check(h *hook) {
	f.t.Helper()
	left := func() string {
		return fmt.Sprintf("inbox %d, messages %d and %d", f.n.query("findings", "SELECT count(*) FROM inbox"),
			f.n.query("findings", "SELECT count(*) FROM outbox WHERE state <> 1"), f.n.query("execution", "SELECT count(*) FROM outbox WHERE state <> 1"))
	}
	began := time.Now()
	poll(f.t, 5*time.Minute, left, func(context.Context) bool { return left() == "inbox 0, messages 0 and 0" })
	f.t.Logf("all was done %s after the last finding", time.Since(began).Round(time.Millisecond))
	report, err := f.n.as("olga").VerifyAudit(f.t.Context())
	if err != nil || !report.OK {
		f.t.Errorf("audit verify: %+v %v", report, err)
	}
	f.n.stop()
	s := f.open()
	f.there(s)
	f.recount()
	f.announced(h)
}

func (f *flood) open() *store.Store {
	f.t.Helper()
	keyring, err := seal.Open(filepath.Join(f.n.dir, "data", "data.key"))
	if err != nil {
		f.t.Fatal(err)
	}
	var s *store.Store
	if f.n.url != "" {
		s, err = postgres.Open(f.t.Context(), postgres.Config{URL: f.n.url, Sealer: keyring})
	} else {
		s, err = sqlite.Open(f.t.Context(), sqlite.Config{Dir: filepath.Join(f.n.dir, "data"), Sealer: keyring})
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = s.Close() })
	return s
}

// there holds every stored finding against what was sent, and its priority against one
// that is worked out anew.
func (f *flood) there(s *store.Store) {
	f.t.Helper()
	ctx := f.t.Context()
	scorer, err := triage.NewScorer(triage.Priority{}, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	want := map[string]*history{}
	accepted := 0
	for _, one := range f.sent {
		for id, h := range one {
			want[id] = h
			if len(h.accepted) > 0 {
				accepted++
			}
		}
	}
	seen := map[string]bool{}
	threats := map[string]bool{}
	q := store.FindingQuery{Accounts: store.AllAccounts(), Limit: 1000}
	for {
		page, err := s.QueryFindings(ctx, q)
		if err != nil {
			f.t.Fatal(err)
		}
		var resources []string
		for _, r := range page.Records {
			resources = append(resources, r.ResourceID)
		}
		threatened, err := s.Threatened(ctx, resources)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, r := range page.Records {
			id := r.ID.Id
			h := want[id]
			if h == nil || seen[id] {
				f.t.Errorf("%s is there, and was never sent or is there twice", id)
				continue
			}
			seen[id] = true
			if !h.may(versionOf(r.Title)) {
				f.t.Errorf("%s has %q; accepted were %v, not known %v", id, r.Title, h.accepted, h.unknown)
			}
			doc, err := finding.Reopen(r.Doc)
			if err != nil {
				f.t.Fatal(err)
			}
			if title := doc.String("Title"); title != r.Title || triage.IsThreat(doc) != r.Threat {
				f.t.Errorf("%s: the document says %q, the column %q", id, title, r.Title)
			}
			if score := scorer.Score(doc, threatened[r.ResourceID], time.Now()); score.Value != r.Priority && !overdueDiffers(score, r) {
				f.t.Errorf("%s has priority %d, want %d: %v", id, r.Priority, score.Value, score.Reasons)
			}
			threats[r.ResourceID] = threats[r.ResourceID] || threatened[r.ResourceID]
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	for id, h := range want {
		if len(h.accepted) > 0 && !seen[id] {
			f.t.Errorf("%s was accepted, and is gone", id)
		}
	}
	f.t.Logf("%d findings are there, %d accepted, %d resources threatened", len(seen), accepted, len(threats))
}

// overdueDiffers: what became overdue since it was ranked is marked within a minute.
func overdueDiffers(score triage.Score, r store.FindingRecord) bool {
	return score.Overdue != r.Overdue
}

// may reports whether a finding may stand at version: the last accepted one, or a later
// one whose answer was lost.
func (h *history) may(version int) bool {
	last := 0
	if len(h.accepted) > 0 {
		last = h.accepted[len(h.accepted)-1]
	}
	if version == last {
		return last > 0
	}
	for _, v := range h.unknown {
		if v == version {
			return v > last
		}
	}
	return false
}

// recount compares every counter with what the findings say, in SQL of both databases.
func (f *flood) recount() {
	f.t.Helper()
	var db *sql.DB
	var err error
	if f.n.url != "" {
		db, err = postgres.Pool(f.n.url, postgres.Schema(store.Findings, ""), 2)
	} else {
		db, err = sqlite.OpenFile(filepath.Join(f.n.dir, "data", "findings.db"), "deferred", 1, "query_only(1)")
	}
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // it is only read
	number := func(query string) (n int) {
		f.t.Helper()
		if err := db.QueryRowContext(f.t.Context(), query).Scan(&n); err != nil {
			f.t.Fatalf("%s: %v", query, err)
		}
		return n
	}
	for table, columns := range map[string]string{
		"finding_count": "account, region, control, severity, workflow, record_state", "finding_count_kind": "region, control, severity, workflow, record_state",
		"finding_count_account": "account, severity, workflow, record_state",
	} {
		counted := "SELECT " + columns + ", COUNT(*) FROM finding GROUP BY " + columns
		kept := "SELECT " + columns + ", n FROM " + table + " WHERE n <> 0"
		if a, b := number("SELECT COUNT(*) FROM ("+counted+" EXCEPT "+kept+") AS x"), number("SELECT COUNT(*) FROM ("+kept+" EXCEPT "+counted+") AS x"); a+b > 0 {
			f.t.Errorf("%s: %d counters are wrong, %d too many", table, a, b)
		}
	}
	all := number("SELECT COUNT(*) FROM finding")
	for _, table := range []string{"finding_identity", "finding_doc", "finding_text"} {
		if n := number("SELECT COUNT(*) FROM " + table); n != all {
			f.t.Errorf("%s has %d rows, finding %d", table, n, all)
		}
	}
	if n := number("SELECT COUNT(DISTINCT id) FROM finding"); n != all {
		f.t.Errorf("%d ids of %d findings", n, all)
	}
	controls := map[string]int{}
	f.rows(db, "SELECT account, evidence, COUNT(*) FROM finding WHERE evidence <> '' GROUP BY account, evidence", func(a, e string, n int) {
		said := control.ParseEvidence(e)
		for _, c := range said.Controls {
			controls[a+" "+c+" "+said.Set()+" "+said.State] += n
		}
	})
	f.rows(db, "SELECT account, control || ' ' || standards || ' ' || state, n FROM finding_count_control_account WHERE n <> 0", func(a, rest string, n int) { controls[a+" "+rest] -= n })
	for what, n := range controls {
		if n != 0 {
			f.t.Errorf("counter of %s is off by %d", what, n)
		}
	}
	sums := "SELECT control, standards, state, SUM(n) FROM finding_count_control_account GROUP BY control, standards, state"
	if n := number("SELECT COUNT(*) FROM (" + sums + " EXCEPT SELECT control, standards, state, n FROM finding_count_control) AS x"); n > 0 {
		f.t.Errorf("finding_count_control: %d counters are wrong", n)
	}
	// What changed on all days together is what is active now, however coarse it is counted.
	for table, columns := range map[string]string{"finding_day": "account, control, severity", "finding_day_kind": "control, severity", "finding_day_account": "account, severity"} {
		counted := "SELECT " + columns + ", COUNT(*) FROM finding WHERE record_state = 'ACTIVE' AND workflow IN ('NEW', 'NOTIFIED') GROUP BY " + columns
		kept := "SELECT " + columns + ", SUM(active) FROM " + table + " GROUP BY " + columns + " HAVING SUM(active) <> 0"
		if a, b := number("SELECT COUNT(*) FROM ("+counted+" EXCEPT "+kept+") AS x"), number("SELECT COUNT(*) FROM ("+kept+" EXCEPT "+counted+") AS x"); a+b > 0 {
			f.t.Errorf("%s: %d sums are wrong, %d too many", table, a, b)
		}
		if a, b := number("SELECT CAST(SUM(fresh) AS INTEGER) FROM "+table), number("SELECT CAST(SUM(fresh) AS INTEGER) FROM finding_day"); a != b || a == 0 {
			f.t.Errorf("%s: %d findings became new, finding_day has %d", table, a, b)
		}
	}
	f.t.Logf("%d counters of controls, %d of kinds recounted", len(controls), number("SELECT COUNT(*) FROM finding_count"))
}

func (f *flood) rows(db *sql.DB, query string, each func(a, b string, n int)) {
	f.t.Helper()
	rows, err := db.QueryContext(f.t.Context(), query)
	if err != nil {
		f.t.Fatal(err)
	}
	for rows.Next() {
		var a, b string
		var n int
		if err := rows.Scan(&a, &b, &n); err != nil {
			f.t.Fatal(err)
		}
		each(a, b, n)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		f.t.Fatal(err)
	}
}

// announced: the bus told of each accepted version of the findings that are watched.
func (f *flood) announced(h *hook) {
	f.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	versions, again := 0, 0
	for _, one := range f.sent {
		for id, x := range one {
			if !x.watched {
				continue
			}
			for _, v := range x.accepted {
				versions++
				if h.seen[id][v] == 0 {
					f.t.Errorf("nobody was told of version %d of %s", v, id)
				}
				again += max(0, h.seen[id][v]-1)
			}
		}
	}
	for id := range h.seen {
		if strings.HasPrefix(id, "bad-") {
			f.t.Errorf("people were told of %s, which was refused", id)
		}
	}
	f.t.Logf("%d versions were told of, %d times more than once", versions, again)
}
