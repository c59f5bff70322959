package cli

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
)

// holds compares a check with its status and with parts of its texts; a check that is not
// ok says what to do.
func (c check) holds(t *testing.T, name, status, detail, next string) {
	t.Helper()
	if c.Status != status || !strings.Contains(c.Detail, detail) || !strings.Contains(c.Next, next) || c.Status != checkOK && c.Next == "" {
		t.Errorf("%s: %+v", name, c)
	}
}

func TestDoctorClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	at := func(ahead time.Duration) skew {
		return skewOf(map[string]any{"ResponseMetadata": map[string]any{"HTTPHeaders": map[string]any{"date": now.Add(ahead).Format(http.TimeFormat)}}}, now)
	}
	for name, x := range map[string]struct {
		at           skew
		kept         bool
		status, part string
	}{
		"in step":         {at(2 * time.Second), true, checkOK, "in step with AWS, kept by NTP"},
		"not kept":        {at(0), false, checkWarning, "not kept by NTP"},
		"behind":          {at(time.Minute), true, checkWarning, "1m0s behind AWS"},
		"far ahead":       {at(-10 * time.Minute), true, checkFailing, "10m0s ahead of AWS"},
		"no date":         {skewOf(map[string]any{}, now), true, checkOK, "kept by NTP"},
		"an odd date":     {skewOf(map[string]any{"ResponseMetadata": map[string]any{"HTTPHeaders": map[string]any{"date": "\x1b[2J"}}}, now), true, checkOK, "kept by NTP"},
		"failing by much": {at(24 * time.Hour), false, checkFailing, "24h0m0s behind AWS"},
	} {
		judgeClock(now, x.at, x.kept, true).holds(t, name, x.status, x.part, "")
	}
	judgeClock(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), skew{}, true, true).holds(t, "1970", checkFailing, "in the past", "NTP")
}

func TestDoctorDisk(t *testing.T) {
	t.Parallel()
	judgeDisk("/d", 10<<30, 20<<30).holds(t, "room", checkOK, "10.0 GB of 20.0 GB", "")
	judgeDisk("/d", 1<<30, 20<<30).holds(t, "little", checkWarning, "1.0 GB", "retention")
	judgeDisk("/d", 1<<20, 20<<30).holds(t, "none", checkFailing, "1 MB", "make room")
	if free, total, known := freeSpace(t.TempDir()); !known || free == 0 || free > total {
		t.Errorf("free %d of %d %v", free, total, known)
	}
}

func TestDoctorDatabase(t *testing.T) {
	t.Parallel()
	missing := fault.Errorf(fault.NotFound, "open the data key", "it is not there").WithHint("put the data.key of this installation into d")
	schemas := func(from, to int64) []app.Schema {
		return []app.Schema{{File: store.Findings, From: from, To: to}, {File: store.Execution, From: from, To: to}}
	}
	judgeDatabase("SQLite", schemas(5, 5), nil, "d").holds(t, "current", checkOK, "findings 5, execution 5", "")
	judgeDatabase("SQLite", schemas(4, 5), nil, "d").holds(t, "older", checkWarning, "findings 4", "parry db backup")
	judgeDatabase("SQLite", schemas(5, 5), missing, "d").holds(t, "no key", checkFailing, "it is not there", "data.key")
	judgeDatabase("PostgreSQL", schemas(0, 5), missing, "d").holds(t, "empty", checkOK, "is empty", "")

	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "none")
	checkDatabase(t.Context(), cfg).holds(t, "nothing yet", checkOK, "is empty", "")
	if _, err := os.Stat(cfg.DataDir); err == nil {
		t.Error("doctor made the data directory")
	}
	cfg.Database = "postgres://nobody:hunter2@127.0.0.1:1/parry"
	c := checkDatabase(t.Context(), cfg)
	if c.holds(t, "no server", checkFailing, "", "database"); strings.Contains(c.Detail, "hunter2") {
		t.Errorf("the password is shown: %+v", c)
	}
}

func TestDoctorDataDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory is entered by its owner
		t.Fatal(err)
	}
	checkDataDir(dir).holds(t, "private", checkOK, "can be written", "")
	key := filepath.Join(dir, "data.key")
	if err := os.WriteFile(key, []byte("k"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkDataDir(dir).holds(t, "with a key", checkOK, "can be written", "")
	if err := os.Chmod(key, 0o644); err != nil { //nolint:gosec // what is to be found
		t.Fatal(err)
	}
	checkDataDir(dir).holds(t, "an open key", checkFailing, "may be opened by others (mode 0644)", "chmod 600 "+key)
	if err := errors.Join(os.Remove(key), os.Chmod(dir, 0o755)); err != nil { //nolint:gosec // what is to be found
		t.Fatal(err)
	}
	checkDataDir(dir).holds(t, "an open directory", checkWarning, "mode 0755", "chmod 700 "+dir)
	checkDataDir("/dev/null").holds(t, "no directory", checkFailing, "no directory", "data_dir")
}

func TestDoctorLock(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	checkLock(cfg).holds(t, "never used", checkOK, "no server uses", "")
	path := filepath.Join(cfg.DataDir, "serve.lock")
	if _, err := os.Stat(path); err == nil {
		t.Error("doctor made a lock")
	}
	f, err := os.Create(path) //nolint:gosec // a test's own directory
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	checkLock(cfg).holds(t, "free", checkOK, "no server uses", "")
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	checkLock(cfg).holds(t, "held", checkOK, "a server uses", "")
}

func TestDoctorRole(t *testing.T) {
	t.Parallel()
	o := org.Organization{MemberRole: "Member", ExternalID: "secret-enough"}
	denied := func(action string) error {
		return &apimodel.APIError{Code: "AccessDenied", Message: "User is not authorized to perform: " + action + " on resource: r", HTTPStatus: 403}
	}
	judgeRole(o, "111122223333", nil, false).holds(t, "taken", checkOK, "", "")
	judgeRole(o, "111122223333", nil, true).holds(t, "without external id", checkWarning, "without the external id", "sts:ExternalId secret-enough")
	judgeRole(o, "111122223333", denied("sts:TagSession"), false).holds(t, "tags", checkFailing, "TagSession", "organization.session_tags: false")
	judgeRole(o, "111122223333", denied("sts:SetSourceIdentity"), false).holds(t, "source identity", checkFailing, "SetSourceIdentity", "allow sts:SetSourceIdentity")
	judgeRole(o, "111122223333", denied("sts:AssumeRole"), false).holds(t, "none", checkFailing, "AssumeRole", "docs/start.md")
	judgeRole(o, "111122223333", errors.New("no credentials"), false).holds(t, "no credentials", checkFailing, "", "AWS credentials")
}

func TestDoctorQueue(t *testing.T) {
	t.Parallel()
	q := config.QueueSource{Name: "q", URL: "https://sqs.us-east-1.amazonaws.com/111122223333/q", Region: "us-east-1"}
	of := func(attributes map[string]string) check {
		return judgeAttributes(q, func(name string) string { return attributes[name] })
	}
	dead := `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111122223333:dead","maxReceiveCount":10}`
	if c := of(map[string]string{"RedrivePolicy": dead}); c.Status != "" {
		t.Errorf("%+v", c)
	}
	of(map[string]string{}).holds(t, "no dead letters", checkWarning, "no dead-letter queue", "RedrivePolicy")
	of(map[string]string{"RedrivePolicy": "{"}).holds(t, "an odd policy", checkWarning, "no dead-letter queue", "RedrivePolicy")
	of(map[string]string{"RedrivePolicy": dead, "KmsMasterKeyId": "alias/aws/sqs"}).holds(t, "a key of AWS's", checkFailing, "EventBridge may not use", "SSE-SQS")

	warned := check{Name: "q", Status: checkWarning, Detail: "one", Next: "do one"}
	worse(check{Name: "q", Status: checkOK}, warned).holds(t, "ok and a warning", checkWarning, "one", "do one")
	worse(warned, check{Name: "q", Status: checkFailing, Detail: "two", Next: "do two"}).holds(t, "both", checkFailing, "two; one", "do two; do one")
}

func TestDoctorMail(t *testing.T) {
	t.Parallel()
	nothing := func(string) string { return "" }
	ch := config.Channel{Name: "m", Kind: "email", SMTP: "127.0.0.1:1", TLS: "none", From: "a@example.com", To: []string{"b@example.com"}}
	checkMail(t.Context(), nothing, ch).holds(t, "nobody listens", checkFailing, "refused", "smtp of the channel")
	ch.Username, ch.Password = "parry", "MAIL_PASSWORD"
	checkMail(t.Context(), nothing, ch).holds(t, "no password", checkFailing, "MAIL_PASSWORD", "environment of the server")
}
