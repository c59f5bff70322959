package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/target"
)

// What the desk's errors mean beside their codes: each is what an exception of
// EventBridge stands for. Existence, absence and a lost race are the store's.
var (
	// ErrPattern: an event pattern is not one.
	ErrPattern error = fault.Errorf(fault.Invalid, "", "Event pattern is not valid")
	// ErrManaged: the rule is of parry.yaml, and changes there.
	ErrManaged error = fault.Errorf(fault.Conflict, "", "the rule is managed")
	// ErrStatus: the object is not in a state for it.
	ErrStatus error = fault.Errorf(fault.Conflict, "", "illegal status")
	// ErrPolicyLength: the resource policy is too long.
	ErrPolicyLength error = fault.Errorf(fault.Exhausted, "", "the policy is too long")
)

// The limits, raised over AWS's defaults where those are for many tenants.
const (
	MaxBuses    = 100    // as AWS; each has an index of its own
	MaxArchives = 100    // each is asked for every event of its bus
	MaxReplays  = 10_000 // records of replays: those that ended go after ReplaysKept
	MaxRunning  = 10     // replays at a time, as AWS
	MaxTags     = 50     // of an object, as AWS
	// MaxConnections and MaxDestinations are AWS's.
	MaxConnections  = 3000
	MaxDestinations = 3000
	maxTargets      = 1 << 20 // bytes of all targets of a rule: they are read together
	maxTagKey       = 128
	maxTagValue     = 256
)

// ReplaysKept is how long the record of a replay is kept after its end, as in AWS.
const ReplaysKept = 90 * 24 * time.Hour

// DeskStore keeps the objects.
type DeskStore interface {
	CreateBusObject(ctx context.Context, o store.BusObject, most int64, eff store.Effects) error
	UpdateBusObject(ctx context.Context, o store.BusObject, eff store.Effects) error
	DeleteBusObject(ctx context.Context, k store.BusKey, rev int64, eff store.Effects) error
	BusObject(ctx context.Context, k store.BusKey) (store.BusObject, error)
}

// DeskPages reads many objects.
type DeskPages interface {
	ListBusObjects(ctx context.Context, kind store.BusKind, bus, prefix, after string, n int) ([]store.BusObject, bool, error)
	AllBusObjects(ctx context.Context, kind store.BusKind, each func(store.BusObject) error) error
}

// DeskArchives reads and empties what archives hold.
type DeskArchives interface {
	ArchiveSize(ctx context.Context, archive string) (events, bytes int64, err error)
	PruneArchive(ctx context.Context, archive string, before time.Time) (int, error)
}

// DeskConfig is what NewDesk needs. Everything without a default is required.
type DeskConfig struct {
	Store    DeskStore
	Pages    DeskPages
	Archives DeskArchives
	// Allow says whether a rule on a bus may have a target; see Allowance.
	Allow func(ctx context.Context, bus string, t target.Target) error
	// Changed is called after every change, so that it counts at once on this node.
	// Default: nobody is told, and the others' way counts.
	Changed func(ctx context.Context)
	// Configured are the rules of parry.yaml: they are listed, and change there.
	Configured []Rule
	// Account, Partition (default: aws) and Region are those of ARNs.
	Account, Partition, Region string
	// Membership gives the organization that an account is a member of and its path there,
	// "" where that is not known: then no condition on it lets anybody in. Default: it is
	// known of none.
	Membership func(account string) (organization, path string)
	// Outside is what connections and API destinations reach. Default: nothing may be reached.
	Outside Outside
	IDs     func() string // the last parts of their ARNs; default: random UUIDs
	Clock   service.Clock // default: the system's
}

// Outside says what may be called outside AWS, and tries to.
type Outside interface {
	// Allowed refuses an address that the configuration does not let be called.
	Allowed(address string) error
	// Authorize tries what a connection authorizes with, where that can be tried.
	Authorize(ctx context.Context, c target.Connection) error
}

// nowhere lets nothing be reached.
type nowhere struct{}

func (nowhere) Allowed(string) error {
	return fault.Errorf(fault.Denied, "", "no address outside AWS may be called").WithHint("list hosts under webhooks.hosts in parry.yaml")
}

func (nowhere) Authorize(context.Context, target.Connection) error { return nowhere{}.Allowed("") }

// Desk keeps buses, rules with their targets, archives, replays, connections and API destinations. Who may ask for what is for its callers to check; every change is
// audited in its transaction. It is safe for concurrent use.
type Desk struct {
	cfg        DeskConfig
	configured map[string]StoredRule
	policies   sync.Map // of buses that there are, by name: heldPolicy
}

// NewDesk makes a Desk.
func NewDesk(cfg DeskConfig) (*Desk, error) {
	if cfg.Store == nil || cfg.Pages == nil || cfg.Archives == nil || cfg.Allow == nil || cfg.Account == "" || cfg.Region == "" {
		return nil, fault.Errorf(fault.Internal, "make bus desk", "store, pages, archives, allow, account and region are required")
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Outside == nil {
		cfg.Outside = nowhere{}
	}
	if cfg.IDs == nil {
		cfg.IDs = uuid.NewString
	}
	if cfg.Changed != nil {
		cfg.Store = telling{cfg.Store, cfg.Changed}
	}
	d := &Desk{cfg: cfg, configured: map[string]StoredRule{}}
	for _, r := range cfg.Configured {
		d.configured[r.Name] = d.ofConfig(r)
	}
	return d, nil
}

// telling tells of every change that a store made.
type telling struct {
	DeskStore
	changed func(ctx context.Context)
}

func (t telling) CreateBusObject(ctx context.Context, o store.BusObject, most int64, eff store.Effects) error {
	return t.tell(ctx, t.DeskStore.CreateBusObject(ctx, o, most, eff))
}

func (t telling) UpdateBusObject(ctx context.Context, o store.BusObject, eff store.Effects) error {
	return t.tell(ctx, t.DeskStore.UpdateBusObject(ctx, o, eff))
}

func (t telling) DeleteBusObject(ctx context.Context, k store.BusKey, rev int64, eff store.Effects) error {
	return t.tell(ctx, t.DeskStore.DeleteBusObject(ctx, k, rev, eff))
}

func (t telling) tell(ctx context.Context, err error) error {
	if err == nil {
		t.changed(ctx)
	}
	return err
}

func (d *Desk) now() time.Time { return d.cfg.Clock.Now().UTC().Truncate(time.Microsecond) }

// arn names something of the bus.
func (d *Desk) arn(resource string) string {
	return "arn:" + d.cfg.Partition + ":events:" + d.cfg.Region + ":" + d.cfg.Account + ":" + resource
}

// ours gives the resource of an ARN of this installation's bus.
func (d *Desk) ours(arn string) (string, bool) { return strings.CutPrefix(arn, d.arn("")) }

// said is an error in the words of EventBridge; what it means is err's.
type said struct {
	text string
	err  error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.err }

// say words err.
func say(err error, format string, args ...any) error {
	return &said{fmt.Sprintf(format, args...), err}
}

func wrong(format string, args ...any) *fault.Error {
	return fault.Errorf(fault.Invalid, "", format, args...)
}

// full is for a limit of AWS's kind.
func full(format string, args ...any) error {
	return fault.E(fault.Exhausted, "", fmt.Errorf(format, args...))
}

// created words an error of a creation.
func created(err error, kind, name string) error {
	switch {
	case errors.Is(err, store.ErrExists):
		return say(err, "%s %s already exists.", kind, name)
	case fault.Is(err, fault.Exhausted):
		return say(err, "The requested resource exceeds the maximum number allowed: %s.", strings.TrimPrefix(err.Error(), "create "))
	}
	return err
}

// audit records what by did to object. Secrets must not be in detail.
func (d *Desk) audit(action, by, object string, detail any) (store.Effects, error) {
	raw, err := json.Marshal(detail)
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, "audit "+action, err)
	}
	return store.Effects{Audit: []store.AuditRecord{{At: d.now(), Actor: by, Action: action, Object: object, Detail: raw}}}, nil
}

// deskTries bounds how often a change is tried again that met another.
const deskTries = 5

// again runs change anew while it loses against another writer.
func again(change func() error) error {
	for n := 1; ; n++ {
		err := change()
		if !errors.Is(err, store.ErrConflict) || n == deskTries {
			return err
		}
	}
}

// read gives one object with its document in doc.
func read[T any](ctx context.Context, d *Desk, kind store.BusKind, bus, name string, doc *T) (store.BusHead, error) {
	o, err := d.cfg.Store.BusObject(ctx, store.BusKey{Kind: kind, Bus: bus, Name: name})
	if err != nil {
		return o.BusHead, err
	}
	return o.BusHead, unmarshal(o, doc)
}

func unmarshal(o store.BusObject, doc any) error {
	if err := json.Unmarshal(o.Doc, doc); err != nil {
		return fault.E(fault.Internal, "read "+string(o.Kind)+" "+o.Name, err)
	}
	return nil
}

func marshal(h store.BusHead, doc any) (store.BusObject, error) {
	raw, err := json.Marshal(doc)
	if err != nil {
		return store.BusObject{}, fault.E(fault.Internal, "write "+string(h.Kind)+" "+h.Name, err)
	}
	return store.BusObject{BusHead: h, Doc: raw}, nil
}

// Paging is which part of a list is asked for: up to Limit whose names begin with Prefix
// and come after After.
type Paging struct {
	Prefix, After string
	Limit         int // default and most: 100, as AWS
}

func (p Paging) limit() int {
	if p.Limit <= 0 || p.Limit > 100 {
		return 100
	}
	return p.Limit
}

// cut gives the page of what has names, and the name behind which the next begins, "" on
// the last.
func cut[T any](all []T, p Paging, name func(T) string) (page []T, next string) {
	all = slices.DeleteFunc(slices.Clone(all), func(v T) bool { return !strings.HasPrefix(name(v), p.Prefix) || name(v) <= p.After })
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	if n := p.limit(); len(all) > n {
		return all[:n], name(all[n-1])
	}
	return all, ""
}

// everyPage reads a page of a kind of which keep keeps some, by name.
func everyPage[T any](ctx context.Context, d *Desk, kind store.BusKind, bus string, p Paging, keep func(store.BusObject) (T, bool, error)) (out []T, next string, err error) {
	for after := p.After; ; {
		objects, more, err := d.cfg.Pages.ListBusObjects(ctx, kind, bus, p.Prefix, after, max(p.limit(), 100))
		if err != nil {
			return nil, "", err
		}
		for i, o := range objects {
			v, ok, err := keep(o)
			if err != nil {
				return nil, "", err
			}
			if after = o.Name; !ok {
				continue
			}
			if out = append(out, v); len(out) == p.limit() && (more || i < len(objects)-1) {
				return out, after, nil
			}
		}
		if !more {
			return out, "", nil
		}
	}
}
