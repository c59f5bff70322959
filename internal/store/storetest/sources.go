package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

func sourceTests() []conformance {
	return []conformance{
		{"sources/rejected messages are kept, counted and dropped", rejectedKept},
		{"sources/rejected messages are listed by page", rejectedPages},
		{"sources/rejected messages are pruned by age and number", rejectedPruned},
		{"sources/the state of a source is kept", sourceState},
		{"sources/findings of one control and resource are linked", linkedFindings},
		{"sources/who is linked, and who stands for whom", groupsOfFindings},
	}
}

func rejection(i int) store.Rejected {
	body := fmt.Appendf(nil, "message %d \x00\xff", i)
	source := fmt.Sprintf("queue-%d", i%2)
	return store.Rejected{
		ID: store.RejectedID(source, body, "f"), Source: source, Place: "m-1", FindingID: "f", Code: "InvalidInput", Reason: "because",
		At: Start().Add(time.Duration(i) * time.Second), Times: 1, Body: body,
	}
}

func rejectedKept(t *testing.T, s *store.Store) {
	ok(t, s.PutRejected(t.Context(), nil))
	one := rejection(1)
	ok(t, s.PutRejected(t.Context(), []store.Rejected{one, one, rejection(2)}))
	same(t, one, must(s.Rejected(t.Context(), one.ID))(t))
	again := one
	again.At, again.Place, again.Reason = one.At.Add(time.Hour), "m-2", "still"
	ok(t, s.PutRejected(t.Context(), []store.Rejected{again}))
	again.Times = 2
	same(t, again, must(s.Rejected(t.Context(), one.ID))(t))
	large := rejection(3)
	large.Body = make([]byte, store.MaxRejectedBody+1)
	ok(t, s.PutRejected(t.Context(), []store.Rejected{large}))
	if got := must(s.Rejected(t.Context(), large.ID))(t); !got.Cut || len(got.Body) != store.MaxRejectedBody {
		t.Errorf("cut is %v, %d bytes", got.Cut, len(got.Body))
	}
	ok(t, s.DropRejected(t.Context(), one.ID, event("dropped")))
	sentinel(t, s.DropRejected(t.Context(), one.ID, store.Effects{}), store.ErrNotFound)
	_, err := s.Rejected(t.Context(), one.ID)
	sentinel(t, err, store.ErrNotFound)
}

func rejectedPages(t *testing.T, s *store.Store) {
	for i := range 7 {
		ok(t, s.PutRejected(t.Context(), []store.Rejected{rejection(i)}))
	}
	var got []string
	cursor := ""
	for {
		page, next, err := s.ListRejected(t.Context(), "queue-0", 2, cursor)
		ok(t, err)
		for _, r := range page {
			if r.Body != nil {
				t.Error("a list carries bodies")
			}
			got = append(got, r.ID)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	same(t, []string{rejection(6).ID, rejection(4).ID, rejection(2).ID, rejection(0).ID}, got)
	all, _, err := s.ListRejected(t.Context(), "", 100, "")
	ok(t, err)
	same(t, 7, len(all))
}

func rejectedPruned(t *testing.T, s *store.Store) {
	for i := range 10 {
		ok(t, s.PutRejected(t.Context(), []store.Rejected{rejection(i)}))
	}
	p := must(s.Prune(t.Context(), store.Cutoffs{Rejected: Start().Add(3 * time.Second), MaxRejected: 5}))(t)
	same(t, int64(5), p.Rejected)
	left, _, err := s.ListRejected(t.Context(), "", 100, "")
	ok(t, err)
	same(t, 5, len(left))
	same(t, rejection(5).ID, left[4].ID)
}

func sourceState(t *testing.T, s *store.Store) {
	type state struct{ Cursor string }
	got := state{"untouched"}
	ok(t, s.SourceState(t.Context(), "hub", &got))
	same(t, state{"untouched"}, got)
	ok(t, s.PutSourceState(t.Context(), "hub", state{"a"}))
	ok(t, s.PutSourceState(t.Context(), "hub", state{"b"}))
	ok(t, s.SourceState(t.Context(), "hub", &got))
	same(t, state{"b"}, got)
	ok(t, s.PutSourceState(t.Context(), "write/a", state{"c"}))
	same(t, int64(0), must(s.PruneSourceState(t.Context(), "write/", Start()))(t))
	same(t, int64(1), must(s.PruneSourceState(t.Context(), "write/", Start().Add(time.Hour)))(t))
	ok(t, s.SourceState(t.Context(), "hub", &got))
	same(t, state{"b"}, got)
}

// linked is a finding of one control and resource by a standard.
func linked(i int, generator string) store.FindingWrite {
	w := Write(i)
	w.Record.Account, w.Record.Region, w.Record.Control = "111111111111", "eu-west-1", "S3.8"
	w.Record.ResourceID, w.Record.Generator, w.Record.RecordState = "arn:aws:s3:::b", generator, "ACTIVE"
	return w
}

func linkedFindings(t *testing.T, s *store.Store) {
	cis := linked(1, "cis-aws-foundations-benchmark/v/1.4.0/2.1.5")
	fsbp := linked(2, "aws-foundational-security-best-practices/v/1.0.0/S3.8")
	other := linked(3, "cis-aws-foundations-benchmark/v/1.4.0/2.1.5")
	other.Record.ResourceID = "arn:aws:s3:::c"
	alone := linked(4, "tool")
	alone.Record.Control = ""
	elsewhere := linked(5, "aws-foundational-security-best-practices/v/1.0.0/S3.8")
	elsewhere.Record.Account = "222222222222"
	all := []store.FindingWrite{cis, fsbp, other, alone, elsewhere}
	ok(t, s.CommitFindings(t.Context(), all, nil, store.Effects{}))
	a, b := cis.Record.ID, fsbp.Record.ID
	same(t, []finding.ID{b, a}, must(s.LinkedFindings(t.Context(), a))(t))
	same(t, []finding.ID{b, a}, must(s.LinkedFindings(t.Context(), b))(t))
	same(t, []finding.ID{other.Record.ID}, must(s.LinkedFindings(t.Context(), other.Record.ID))(t))
	same(t, 0, len(must(s.LinkedFindings(t.Context(), alone.Record.ID))(t)))

	mains := func() map[finding.ID]bool {
		page := must(s.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), MainOnly: true, Limit: 100}))(t)
		out := map[finding.ID]bool{}
		for _, r := range page.Records {
			out[r.ID] = true
		}
		return out
	}
	same(t, map[finding.ID]bool{b: true, other.Record.ID: true, alone.Record.ID: true, elsewhere.Record.ID: true}, mains())

	// The main one is archived: the other stands for both.
	fsbp.Record.RecordState, fsbp.ExpectRev = "ARCHIVED", 1
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{fsbp}, nil, store.Effects{}))
	same(t, []finding.ID{a, b}, must(s.LinkedFindings(t.Context(), a))(t))
	same(t, map[finding.ID]bool{a: true, other.Record.ID: true, alone.Record.ID: true, elsewhere.Record.ID: true}, mains())

	// It is about another resource now: it leaves the group.
	fsbp.Record.ResourceID, fsbp.ExpectRev = "arn:aws:s3:::d", 2
	ok(t, s.CommitFindings(t.Context(), []store.FindingWrite{fsbp}, nil, store.Effects{}))
	same(t, []finding.ID{a}, must(s.LinkedFindings(t.Context(), a))(t))

	// Retention takes the links along.
	p := must(s.Prune(t.Context(), store.Cutoffs{Active: Start().Add(1000 * time.Hour), Archived: Start().Add(1000 * time.Hour)}))(t)
	same(t, int64(5), p.Findings)
	same(t, 0, len(must(s.LinkedFindings(t.Context(), a))(t)))
}

// groupsOfFindings holds who belongs together and who stands for whom.
func groupsOfFindings(t *testing.T, s *store.Store) {
	base := linked(1, "cis-aws-foundations-benchmark/v/1.4.0/2.1.5")
	variants := []struct {
		what   string
		change func(*store.FindingRecord)
		same   bool
	}{
		{"case of the control", func(r *store.FindingRecord) { r.Control = "s3.8" }, true},
		{"another region of an ARN", func(r *store.FindingRecord) { r.Region = "us-east-1" }, true},
		{"another control", func(r *store.FindingRecord) { r.Control = "S3.1" }, false},
		{"another account", func(r *store.FindingRecord) { r.Account = "222222222222" }, false},
		{"another resource", func(r *store.FindingRecord) { r.ResourceID += "2" }, false},
		{"no control", func(r *store.FindingRecord) { r.Control = "" }, false},
		{"no resource", func(r *store.FindingRecord) { r.ResourceID = "" }, false},
	}
	want := map[finding.ID]bool{base.Record.ID: true}
	writes := []store.FindingWrite{base}
	for i, v := range variants {
		w := linked(10+i, base.Record.Generator)
		v.change(&w.Record)
		writes = append(writes, w)
		if v.same {
			want[w.Record.ID] = true
		}
	}
	// An account is checked in every region by itself.
	here, there := linked(30, "tool"), linked(31, "tool")
	for _, w := range []*store.FindingWrite{&here, &there} {
		w.Record.ResourceID = "AWS::::Account:111111111111"
	}
	there.Record.Region = "us-east-1"
	// From the main one to the last.
	ranked := []store.FindingWrite{
		linked(40, "security-control/S3.8"), linked(41, "aws-foundational-security-best-practices/v/1.0.0/S3.8"), linked(42, "pci-dss/v/3.2.1/PCI.S3.6"),
		linked(43, "security-control/S3.8"), linked(44, "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/2.7"),
	}
	var order []finding.ID
	for i := range ranked {
		ranked[i].Record.ResourceID = "arn:aws:s3:::ranked"
		if i > 2 {
			ranked[i].Record.RecordState = "ARCHIVED"
		}
		order = append(order, ranked[i].Record.ID)
	}
	ok(t, s.CommitFindings(t.Context(), append(append(writes, here, there), ranked...), nil, store.Effects{}))
	got := map[finding.ID]bool{}
	for _, id := range must(s.LinkedFindings(t.Context(), base.Record.ID))(t) {
		got[id] = true
	}
	same(t, want, got)
	same(t, []finding.ID{here.Record.ID}, must(s.LinkedFindings(t.Context(), here.Record.ID))(t))
	same(t, order, must(s.LinkedFindings(t.Context(), order[4]))(t))
}
