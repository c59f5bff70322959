package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
)

// state is how far a hub has been read.
type state struct {
	// Since is the time up to which updates were read; "" before the first round.
	Since string `json:"since,omitempty"`
	// Run is the round that was not finished.
	Run *run `json:"run,omitempty"`
	// Reconciled is when the last reconciliation ended; Walk one that has not.
	Reconciled time.Time `json:"reconciled,omitzero"`
	Walk       *walk     `json:"walk,omitempty"`
}

// run is one reading of what was updated between two times.
type run struct {
	From  string `json:"from,omitempty"`
	To    string `json:"to"`
	Token string `json:"token,omitempty"`
}

const (
	// pageSize is the most that GetFindings gives.
	pageSize = 100
	// overlap is read again in the next round: Security Hub shows an update some
	// time after the time that it carries.
	overlap = 15 * time.Minute
)

// updates reads what was updated since the last round, the first time all that
// is active. Where an earlier round broke off, it goes on.
func (c *Collector) updates(ctx context.Context, s *state) error {
	if s.Run == nil {
		s.Run = &run{From: s.Since, To: finding.FormatTime(c.cfg.Clock.Now())}
	}
	began := c.cfg.Clock.Now()
	for {
		found, next, err := c.page(ctx, c.updated(s.Run), s.Run.Token)
		if err != nil && s.Run.Token != "" && badToken(err) {
			s.Run.Token = "" // tokens end; what was read already changes nothing
			continue
		}
		if err != nil {
			return err
		}
		var taken ingest.Taken
		for _, raw := range found {
			taken.Add(c.cfg.Source.Take(c.cfg.Read, raw, "GetFindings "+c.cfg.Region, c.cfg.Clock.Now(), false))
		}
		if err := c.accept(ctx, taken); err != nil {
			return err
		}
		if next == "" {
			break
		}
		s.Run.Token = next
		if err := c.save(ctx, s); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	to, err := finding.ParseTime(s.Run.To)
	if err != nil {
		to = began
	}
	s.Since, s.Run = finding.FormatTime(to.Add(-overlap)), nil
	return c.save(ctx, s)
}

// updated are the filters of a round.
func (c *Collector) updated(r *run) map[string]any {
	filters := c.scope()
	if r.From == "" {
		filters["RecordState"] = equals(string(finding.Active))
		return filters
	}
	filters["UpdatedAt"] = []any{map[string]any{"Start": r.From, "End": r.To}}
	return filters
}

// maxValues is how many values AWS takes for one field of a filter.
const maxValues = 20

// scope asks for no more than the source may bring, where AWS's filters can say
// so; what comes beyond it is refused here.
func (c *Collector) scope() map[string]any {
	filters := map[string]any{}
	if n := len(c.cfg.Products); n > 0 && n <= maxValues {
		filters["ProductArn"] = equals(c.cfg.Products...)
	}
	if a := c.cfg.Source.Accounts; len(a) <= maxValues && a[0] != ingest.Any {
		filters["AwsAccountId"] = equals(a...)
	}
	return filters
}

func equals(values ...string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = map[string]any{"Value": v, "Comparison": "EQUALS"}
	}
	return out
}

// page asks for one page of findings, the oldest update first.
func (c *Collector) page(ctx context.Context, filters map[string]any, token string) (found []json.RawMessage, next string, err error) {
	in := map[string]any{
		"Filters": filters, "MaxResults": pageSize, "SortCriteria": []any{map[string]any{"Field": "UpdatedAt", "SortOrder": "asc"}},
	}
	if token != "" {
		in["NextToken"] = token
	}
	reply, err := c.cfg.Caller.Call(ctx, "collect", apimodel.Call{Service: "securityhub", Operation: "GetFindings", Account: c.cfg.Account, Region: c.cfg.Region, Input: in})
	if err != nil {
		return nil, "", fmt.Errorf("read Security Hub in %s: %w", c.cfg.Region, err)
	}
	list, _ := reply.Output["Findings"].([]any)
	for _, f := range list {
		raw, err := json.Marshal(f)
		if err != nil {
			return nil, "", fmt.Errorf("read a finding of Security Hub: %w", err)
		}
		found = append(found, raw)
	}
	next, _ = reply.Output["NextToken"].(string)
	return found, next, nil
}

// badToken reports whether AWS refused the request itself, as it does with a
// token that has ended.
func badToken(err error) bool {
	var api *apimodel.APIError
	return errors.As(err, &api) && api.HTTPStatus == 400 && !api.Throttled
}
