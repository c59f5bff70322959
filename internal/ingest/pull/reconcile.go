package pull

import (
	"context"
	"encoding/json"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/store"
)

// walk is a reconciliation under way: every finding that is stored as active is
// asked for by its Id, 20 in a question.
type walk struct {
	Began   time.Time `json:"began"`
	Cursor  string    `json:"cursor,omitempty"`
	Asked   int       `json:"asked"`
	Missing int       `json:"missing"`
}

const (
	// maxQuestions bounds what one round asks: about two minutes at the rate that
	// AWS allows. The next round goes on.
	maxQuestions = 300
	// maxAnswers bounds the pages of one answer.
	maxAnswers = 100
	// settled is how long a finding was not written before it is asked for: a new
	// one may not be in the hub's answers yet.
	settled = time.Hour
	// fewMissing may be archived without more ado; beyond them, a hub that misses
	// more than a fifth of what it is asked for is taken to be the wrong one, or
	// off.
	fewMissing   = 100
	missingShare = 5
)

// reconcile archives what the hub no longer has.
func (c *Collector) reconcile(ctx context.Context, s *state) error {
	if s.Walk == nil {
		s.Walk = &walk{Began: c.cfg.Clock.Now()}
	}
	for range maxQuestions {
		page, err := c.cfg.Store.QueryFindings(ctx, c.stored(s.Walk))
		if err != nil {
			return err
		}
		if err := c.ask(ctx, s.Walk, page.Records); err != nil {
			if fault.CodeOf(err) != fault.Conflict {
				return err // AWS or the store was away: the walk goes on next time
			}
			s.Walk, s.Reconciled = nil, c.cfg.Clock.Now()
			if saved := c.save(ctx, s); saved != nil {
				return saved
			}
			return err
		}
		if page.Next == "" {
			s.Walk, s.Reconciled = nil, c.cfg.Clock.Now()
			return c.save(ctx, s)
		}
		s.Walk.Cursor = page.Next
		if err := c.save(ctx, s); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// stored asks for the next findings that the hub should have.
func (c *Collector) stored(w *walk) store.FindingQuery {
	whose := store.Condition{Column: "source", Op: store.OpEqual, Values: []string{c.cfg.Source.Name}}
	if len(c.cfg.Products) > 0 {
		whose = store.Condition{Column: "product_arn", Op: store.OpEqual, Values: c.cfg.Products}
	}
	return store.FindingQuery{
		Accounts: store.AllAccounts(), Limit: maxValues, Cursor: w.Cursor, Sort: []store.SortKey{{Column: "created_at"}},
		Where: []store.Condition{whose, {Column: "record_state", Op: store.OpEqual, Values: []string{string(finding.Active)}}},
	}
}

// ask asks the hub for records and archives those that it does not have.
func (c *Collector) ask(ctx context.Context, w *walk, records []store.FindingRecord) error {
	var asked []store.FindingRecord
	var ids []string
	for _, r := range records {
		if r.StoredAt.Before(w.Began.Add(-settled)) && c.cfg.Source.Covers(r.Account) {
			asked, ids = append(asked, r), append(ids, r.ID.Id)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	has, taken, err := c.has(ctx, ids)
	if err != nil {
		return err
	}
	w.Asked += len(asked)
	now := c.cfg.Clock.Now()
	archived := int64(0)
	for _, r := range asked {
		if has[r.ID] {
			continue
		}
		w.Missing++
		if w.Missing > fewMissing && w.Missing*missingShare > w.Asked {
			return fault.Errorf(fault.Conflict, "reconcile with Security Hub", "%d of %d findings are gone from %s at once; no more of them are archived", w.Missing, w.Asked, c.cfg.Region).
				WithHint("is Security Hub on, is this its administrator's account, and does region or linked_regions name the regions whose findings it has?")
		}
		if item, ok := c.archived(r, now); ok {
			taken.Items = append(taken.Items, item)
			archived++
		}
	}
	if err := c.accept(ctx, taken); err != nil {
		return err
	}
	if archived > 0 {
		c.log.InfoContext(ctx, "findings archived that the hub no longer has", "count", archived)
		c.note(func(r *ingest.Report) { r.Archived += archived })
	}
	return nil
}

// has asks for findings by their Ids, and says which there are. What has changed
// of them is taken on the way.
func (c *Collector) has(ctx context.Context, ids []string) (map[finding.ID]bool, ingest.Taken, error) {
	has := map[finding.ID]bool{}
	var taken ingest.Taken
	token := ""
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	for range maxAnswers {
		found, next, err := c.page(ctx, map[string]any{"Id": equals(ids...)}, token)
		if err != nil {
			return nil, taken, err
		}
		for _, raw := range found {
			var id finding.ID
			if json.Unmarshal(raw, &id) != nil || !wanted[id.Id] {
				continue
			}
			has[id] = true
			taken.Add(c.cfg.Source.Take(c.cfg.Read, raw, "GetFindings "+c.cfg.Region, c.cfg.Clock.Now(), false))
		}
		if next == "" {
			return has, taken, nil
		}
		token = next
	}
	// An answer without an end says nothing about what it lacks.
	return nil, taken, fault.Errorf(fault.Unavailable, "reconcile with Security Hub", "the answer to a question for %d findings has more than %d pages", len(ids), maxAnswers)
}

// archived gives the version that archives a finding: what its provider last
// said of it, with another record state. One whose last version is dated ahead
// is left alone: no version of now would come after it.
func (c *Collector) archived(r store.FindingRecord, now time.Time) (store.InboxItem, bool) {
	text := r.Original
	if len(text) == 0 {
		text = r.Doc
	}
	f, err := finding.Reopen(text)
	if err != nil || !r.UpdatedAt.Before(now) {
		return store.InboxItem{}, false
	}
	f = f.With("RecordState", string(finding.Archived)).With("UpdatedAt", finding.FormatTime(now)).
		WithProductFields(map[string]string{"parry/ArchivalReason": "the hub no longer has the finding"})
	// The source's trust stays that of the version it goes back to.
	return store.InboxItem{Source: c.cfg.Source.Name, Trusted: r.Trusted, Finding: f.JSON(), ReceivedAt: now}, true
}
