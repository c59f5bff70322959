package awswall

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"time"
)

// MaxKeptBody bounds Entry.Body.
const MaxKeptBody = 16 << 10

// Entry is one call in the request log.
type Entry struct {
	Seq  int64     `json:"seq"`  // in the order in which calls ended
	Time time.Time `json:"time"` // when the call arrived

	Account        string `json:"account,omitempty"`
	AccessKeyID    string `json:"access_key_id,omitempty"`
	Principal      string `json:"principal,omitempty"` // ARN
	Session        string `json:"session,omitempty"`   // role session name
	SourceIdentity string `json:"source_identity,omitempty"`
	UserAgent      string `json:"user_agent,omitempty"`

	Service    string `json:"service"`
	Operation  string `json:"operation"`
	Region     string `json:"region,omitempty"`
	Class      string `json:"class"` // read or change
	Bucket     string `json:"bucket,omitempty"`
	Resource   string `json:"resource,omitempty"` // ARN, where the wall can tell
	About      string `json:"about,omitempty"`    // id of the security group or key that it names
	Method     string `json:"method"`
	URI        string `json:"uri"`
	BodySHA256 string `json:"body_sha256"`
	BodySize   int    `json:"body_size"`
	// Body is that of a change, at most MaxKeptBody bytes of it, for those who ask
	// the wall what was sent. It is in no file and no answer of the control API.
	Body []byte `json:"-"`

	// Forwarded says that moto was asked: a change that was not forwarded did
	// not happen, whatever the status says.
	Forwarded  bool   `json:"forwarded"`
	Status     int    `json:"status"` // 0 = no answer was given
	Error      string `json:"error,omitempty"`
	Fault      Kind   `json:"fault,omitempty"`
	DurationMS int64  `json:"duration_ms"`
}

// Changed reports whether the call changed something: a change that moto was
// asked for and did not refuse.
func (e Entry) Changed() bool {
	return e.Class == "change" && e.Forwarded && e.Status >= 200 && e.Status < 300
}

// requestLog keeps the entries in memory and writes each to the file as it comes.
type requestLog struct {
	mu      sync.Mutex
	list    []Entry
	file    *os.File
	changed chan struct{} // closed and replaced at each append
}

func newRequestLog() *requestLog { return &requestLog{changed: make(chan struct{})} }

func (l *requestLog) open(name string) error {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	l.file = f
	return err
}

func (l *requestLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

func (l *requestLog) append(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Seq = int64(len(l.list)) + 1
	e.DurationMS = time.Since(e.Time).Milliseconds()
	l.list = append(l.list, *e)
	if l.file != nil {
		raw, _ := json.Marshal(e)              // an Entry always marshals
		_, _ = l.file.Write(append(raw, '\n')) // the log in memory stays whole
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *requestLog) entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Entry(nil), l.list...)
}

func (l *requestLog) await(ctx context.Context, match func(Entry) bool) (Entry, error) {
	next := 0
	for {
		l.mu.Lock()
		list, changed := l.list, l.changed
		l.mu.Unlock()
		for ; next < len(list); next++ {
			if match(list[next]) {
				return list[next], nil
			}
		}
		select {
		case <-ctx.Done():
			return Entry{}, context.Cause(ctx)
		case <-changed:
		}
	}
}
