package ingest

import "time"

// Report is what a source is, and what it did since this process started.
type Report struct {
	Name     string
	Kind     string // queue, pull
	From     string // the queue's URL, the hub's region
	Accounts []string
	Products []string
	Trusted  bool

	Messages int64 // messages or pages read
	Accepted int64 // findings put into the inbox
	Rejected int64 // kept aside
	Events   int64 // put on the bus
	Archived int64 // archived because their origin has them no more

	LastRead     time.Time // when it last got an answer
	LastReceived time.Time // when that held something
	// Problem is why it reads nothing at present, "" when it does.
	Problem   string
	ProblemAt time.Time
}
