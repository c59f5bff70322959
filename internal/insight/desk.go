package insight

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Store is what the desk reads and writes.
type Store interface {
	CreateHubObject(ctx context.Context, o store.HubObject, most int64, eff store.Effects) error
	UpdateHubObject(ctx context.Context, o store.HubObject, eff store.Effects) error
	DeleteHubObject(ctx context.Context, kind store.HubKind, arn string, eff store.Effects) error
	HubObjects(ctx context.Context, kind store.HubKind, arns []string) ([]store.HubObject, error)
	ListHubObjects(ctx context.Context, kind store.HubKind, region string, limit int, cursor string) ([]store.HubObject, string, error)
	GroupFindings(ctx context.Context, q store.GroupQuery) ([]store.GroupCount, error)
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
	Enqueue(ctx context.Context, f store.File, eff store.Effects) error
}

// Config is what NewDesk needs. Everything without a default is required.
type Config struct {
	Store Store
	// Drain takes in what was accepted before, so that results show it.
	Drain func(ctx context.Context) (int, error)
	// Managed are the insights that are there from the start, see LoadManaged.
	Managed []Insight
	// Account is the one that insights and actions belong to.
	Account   string
	Partition string // default: aws
	Region    string // of what is made without one; default: us-east-1
	// Unseen gives accounts whose findings count in no insight. Default: none.
	Unseen func(ctx context.Context) ([]string, error)
	IDs    service.IDs   // default: random
	Clock  service.Clock // default: the system's
}

// Desk keeps insights and actions. It is safe for concurrent use.
type Desk struct{ cfg Config }

// NewDesk makes a Desk.
func NewDesk(cfg Config) (*Desk, error) {
	if cfg.Store == nil || cfg.Drain == nil || cfg.Account == "" {
		return nil, fault.Errorf(fault.Internal, "make insight desk", "store, drain and account are required")
	}
	if cfg.Unseen == nil {
		cfg.Unseen = func(context.Context) ([]string, error) { return nil, nil }
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if cfg.IDs == nil {
		cfg.IDs = service.RandomIDs{}
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	return &Desk{cfg}, nil
}

// region checks where something is to be made: what may be made is counted by Region, so
// a name that is none would be a way around the count.
func (d *Desk) region(name string) (string, error) {
	if name == "" || name == d.cfg.Region || apimodel.HasRegion(d.cfg.Partition, name) {
		return cmp.Or(name, d.cfg.Region), nil
	}
	return "", fault.Errorf(fault.Invalid, "choose the Region", "%q is no Region of partition %s", clipped(name), d.cfg.Partition).
		WithHint("sign the request for a Region that there is, such as %s", d.cfg.Region)
}

func (d *Desk) now() time.Time { return d.cfg.Clock.Now().UTC().Truncate(time.Microsecond) }

// audit records what by did to object.
func (d *Desk) audit(action, by, object string, detail map[string]any) (store.Effects, error) {
	raw, err := json.Marshal(detail)
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, "audit "+action, err)
	}
	return store.Effects{Audit: []store.AuditRecord{{At: d.now(), Actor: by, Action: action, Object: object, Detail: raw}}}, nil
}

// Change is what an insight is to say; nil leaves a part as it is.
type Change struct {
	Name    *string
	Filters json.RawMessage
	GroupBy *string
}

func (c Change) apply(i Insight) (Insight, error) {
	if c.Name != nil {
		i.Name = *c.Name
	}
	if c.GroupBy != nil {
		i.GroupBy = *c.GroupBy
	}
	if c.Filters != nil {
		var err error
		if i.Filters, err = filter.Parse(c.Filters); err != nil {
			return i, err
		}
	}
	return i, i.check()
}

// CreateInsight makes a custom insight in a Region; "" is the home Region.
func (d *Desk) CreateInsight(ctx context.Context, c Change, region, by string) (Insight, error) {
	now := d.now()
	region, err := d.region(region)
	if err != nil {
		return Insight{}, err
	}
	key := uuid("insight\x00" + d.cfg.IDs.NewID("insight"))
	i, err := c.apply(Insight{
		ARN:       fmt.Sprintf("arn:%s:securityhub:%s:%s:insight/%s/custom/%s", d.cfg.Partition, region, d.cfg.Account, d.cfg.Account, key),
		CreatedBy: by, CreatedAt: now, UpdatedAt: now, region: region, rev: 1,
	})
	if err != nil {
		return i, err
	}
	o, err := i.object()
	if err != nil {
		return i, err
	}
	eff, err := d.audit("insight.created", by, i.ARN, map[string]any{"name": i.Name, "group_by": i.GroupBy, "filters": i.Filters})
	if err != nil {
		return i, err
	}
	return i, d.cfg.Store.CreateHubObject(ctx, o, MaxInsights, eff)
}

// maxConflicts bounds how often a change is tried again that met another.
const maxConflicts = 5

// again runs change anew while it loses against another writer.
func again(change func() error) error {
	for n := 1; ; n++ {
		err := change()
		if !errors.Is(err, store.ErrConflict) || n == maxConflicts {
			return err
		}
	}
}

// UpdateInsight changes a custom insight.
func (d *Desk) UpdateInsight(ctx context.Context, arn string, c Change, by string) (Insight, error) {
	var i Insight
	err := again(func() error {
		var err error
		if i, err = d.custom(ctx, arn); err != nil {
			return err
		}
		if i, err = c.apply(i); err != nil {
			return err
		}
		i.UpdatedAt = d.now()
		o, err := i.object()
		if err != nil {
			return err
		}
		eff, err := d.audit("insight.updated", by, i.ARN, map[string]any{"name": i.Name, "group_by": i.GroupBy, "filters": i.Filters})
		if err != nil {
			return err
		}
		return d.cfg.Store.UpdateHubObject(ctx, o, eff)
	})
	return i, err
}

// DeleteInsight deletes a custom insight.
func (d *Desk) DeleteInsight(ctx context.Context, arn, by string) error {
	i, err := d.custom(ctx, arn)
	if err != nil {
		return err
	}
	eff, err := d.audit("insight.deleted", by, i.ARN, map[string]any{"name": i.Name})
	if err != nil {
		return err
	}
	if err = d.cfg.Store.DeleteHubObject(ctx, store.HubInsight, i.ARN, eff); errors.Is(err, store.ErrNotFound) {
		return unknownInsight()
	}
	return err
}

// custom gives an insight that may be changed.
func (d *Desk) custom(ctx context.Context, arn string) (Insight, error) {
	i, err := d.Insight(ctx, arn)
	if err == nil && i.Managed {
		err = fault.Errorf(fault.Invalid, "change insight", "%q is a managed insight, which cannot be changed or deleted", i.Name).
			WithHint("make a custom insight with its filters")
	}
	return i, err
}

func unknownInsight() error {
	return fault.Errorf(fault.NotFound, "find insight", "there is no such insight").WithHint("list them: parry insight list")
}

// Insight gives the insight with an ARN.
func (d *Desk) Insight(ctx context.Context, arn string) (Insight, error) {
	for _, m := range d.cfg.Managed {
		if m.ARN == arn {
			return m, nil
		}
	}
	found, err := d.cfg.Store.HubObjects(ctx, store.HubInsight, []string{arn})
	if err != nil {
		return Insight{}, err
	}
	if len(found) == 0 {
		return Insight{}, unknownInsight()
	}
	return insightOf(found[0])
}

// InsightNamed gives the insight that text names: by its ARN or the last part of it.
func (d *Desk) InsightNamed(ctx context.Context, text string) (Insight, error) {
	for _, m := range d.cfg.Managed {
		if m.Key() == text {
			return m, nil
		}
	}
	named, err := d.named(ctx, store.HubInsight, text, "")
	if err != nil || named == "" {
		return Insight{}, errOr(err, unknownInsight())
	}
	return d.Insight(ctx, named)
}

// named gives the ARN of the object whose ARN is text or ends with it, "" for none;
// region "" is all. There are a few hundred at most.
func (d *Desk) named(ctx context.Context, kind store.HubKind, text, region string) (string, error) {
	if strings.HasPrefix(text, "arn:") || text == "" {
		return text, nil
	}
	arn, cursor := "", ""
	for {
		page, next, err := d.cfg.Store.ListHubObjects(ctx, kind, region, 1000, cursor)
		if err != nil {
			return "", err
		}
		for _, o := range page {
			if !strings.HasSuffix(o.ARN, "/"+text) {
				continue
			}
			if arn != "" {
				return "", fault.Errorf(fault.Invalid, "find "+string(kind), "%q is the name of several, in different Regions", clipped(text)).WithHint("name the Region too")
			}
			arn = o.ARN
		}
		if cursor = next; next == "" {
			return arn, nil
		}
	}
}

// Managed gives the insights that are there from the start.
func (d *Desk) Managed() []Insight { return slices.Clone(d.cfg.Managed) }

// ListInsights gives a page of custom insights, the oldest first; region "" is all.
func (d *Desk) ListInsights(ctx context.Context, region string, limit int, cursor string) ([]Insight, string, error) {
	return listed(ctx, d, store.HubInsight, region, limit, cursor, insightOf)
}

func listed[T any](ctx context.Context, d *Desk, kind store.HubKind, region string, limit int, cursor string, read func(store.HubObject) (T, error)) ([]T, string, error) {
	found, next, err := d.cfg.Store.ListHubObjects(ctx, kind, region, limit, cursor)
	if err != nil {
		return nil, "", err
	}
	out := make([]T, len(found))
	for i, o := range found {
		if out[i], err = read(o); err != nil {
			return nil, "", err
		}
	}
	return out, next, nil
}

// Result is how many findings have a value.
type Result = store.GroupCount

// Results counts the findings of accounts that an insight selects by its attribute: at
// most 100 values, those with the most findings first.
func (d *Desk) Results(ctx context.Context, i Insight, accounts []string) ([]Result, error) {
	if _, err := d.cfg.Drain(ctx); err != nil {
		return nil, err
	}
	without, err := d.cfg.Unseen(ctx)
	if err != nil {
		return nil, err
	}
	q := store.GroupQuery{Accounts: accounts, WithoutAccounts: without, Filter: i.Filters, At: d.now(), By: i.GroupBy, Limit: MaxResults}
	if i.column != "" {
		q.By = i.column
	}
	if i.overdue {
		q.Where = append(q.Where, store.Condition{Column: "overdue", Op: store.OpEqual, Values: []string{"1"}})
	}
	return d.cfg.Store.GroupFindings(ctx, q)
}

// NewAction is an action that is asked for.
type NewAction struct{ ID, Name, Description string }

// CreateAction makes a custom action in a Region; "" is the home Region.
func (d *Desk) CreateAction(ctx context.Context, n NewAction, region, by string) (Action, error) {
	now := d.now()
	region, err := d.region(region)
	if err != nil {
		return Action{}, err
	}
	a := Action{
		ARN:  fmt.Sprintf("arn:%s:securityhub:%s:%s:action/custom/%s", d.cfg.Partition, region, d.cfg.Account, n.ID),
		Name: n.Name, Description: n.Description, CreatedBy: by, CreatedAt: now, UpdatedAt: now, region: region, rev: 1,
	}
	if err := errors.Join(checkActionID(n.ID), a.check()); err != nil {
		return a, err
	}
	o, err := a.object()
	if err != nil {
		return a, err
	}
	eff, err := d.audit("action.created", by, a.ARN, map[string]any{"name": a.Name, "description": a.Description})
	if err != nil {
		return a, err
	}
	if err = d.cfg.Store.CreateHubObject(ctx, o, MaxActions, eff); errors.Is(err, store.ErrExists) {
		err = fault.Errorf(fault.Conflict, "create action", "there is an action %q in %s already", n.ID, region).WithHint("choose another id, or update it")
	}
	return a, err
}

// UpdateAction changes name and description; nil leaves one as it is.
func (d *Desk) UpdateAction(ctx context.Context, arn string, name, description *string, by string) (Action, error) {
	var a Action
	err := again(func() error {
		var err error
		if a, err = d.Action(ctx, arn); err != nil {
			return err
		}
		if name != nil {
			a.Name = *name
		}
		if description != nil {
			a.Description = *description
		}
		if err := a.check(); err != nil {
			return err
		}
		a.UpdatedAt = d.now()
		o, err := a.object()
		if err != nil {
			return err
		}
		eff, err := d.audit("action.updated", by, a.ARN, map[string]any{"name": a.Name, "description": a.Description})
		if err != nil {
			return err
		}
		return d.cfg.Store.UpdateHubObject(ctx, o, eff)
	})
	return a, err
}

// DeleteAction deletes an action.
func (d *Desk) DeleteAction(ctx context.Context, arn, by string) error {
	a, err := d.Action(ctx, arn)
	if err != nil {
		return err
	}
	eff, err := d.audit("action.deleted", by, a.ARN, map[string]any{"name": a.Name})
	if err != nil {
		return err
	}
	if err = d.cfg.Store.DeleteHubObject(ctx, store.HubAction, a.ARN, eff); errors.Is(err, store.ErrNotFound) {
		return unknownAction()
	}
	return err
}

func unknownAction() error {
	return fault.Errorf(fault.NotFound, "find action", "there is no such action").WithHint("list them: parry action list")
}

// Action gives the action with an ARN.
func (d *Desk) Action(ctx context.Context, arn string) (Action, error) {
	found, err := d.cfg.Store.HubObjects(ctx, store.HubAction, []string{arn})
	if err != nil {
		return Action{}, err
	}
	if len(found) == 0 {
		return Action{}, unknownAction()
	}
	return actionOf(found[0])
}

// ActionNamed gives the action that text names: by its ARN, or by its id and its Region,
// which may be "" where there is but one.
func (d *Desk) ActionNamed(ctx context.Context, text, region string) (Action, error) {
	named, err := d.named(ctx, store.HubAction, text, region)
	if err != nil || named == "" {
		return Action{}, errOr(err, unknownAction())
	}
	return d.Action(ctx, named)
}

// ListActions gives a page of actions, the oldest first; region "" is all.
func (d *Desk) ListActions(ctx context.Context, region string, limit int, cursor string) ([]Action, string, error) {
	return listed(ctx, d, store.HubAction, region, limit, cursor, actionOf)
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
