package events

import (
	"context"
	"log/slog"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

const (
	// Service is the name for which requests are signed.
	Service = "events"
	// MaxBody is the largest request, in bytes: events of a megabyte in all, as JSON in
	// JSON, where every quote is escaped.
	MaxBody = 3 << 20
)

// Putter takes events that were checked.
type Putter interface {
	// Put puts events on a bus and gives their ids, in their order.
	Put(ctx context.Context, bus string, entries []route.Entry) (ids []string, err error)
}

// Config is what New needs. Everything without a default is required.
type Config struct {
	Models *apimodel.Catalog
	Desk   *route.Desk
	Putter Putter
	// Starts says why a principal may not have a rule start the document that a target is.
	// Default: nobody may.
	Starts func(ctx context.Context, p auth.Principal, t target.Target) error
	// Account is the one that Parry runs for: the security account.
	Account   string
	Partition string       // default: aws
	Logger    *slog.Logger // default: discard
}

// Handler answers EventBridge's API.
type Handler struct {
	*protocol.Service[Caller]
	cfg Config
	log *slog.Logger
}

// Caller is who asks, and for where.
type Caller struct {
	Principal auth.Principal
	// Region is the one for which the request is signed: events are of it.
	Region string
}

// New makes a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Models == nil || cfg.Desk == nil || cfg.Putter == nil || cfg.Account == "" {
		return nil, fault.Errorf(fault.Internal, "make EventBridge", "models, desk, putter and account are required")
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	log := cfg.Logger.With("component", "awsfront.events")
	h := &Handler{cfg: cfg, log: log, Service: protocol.NewService(protocol.ServiceConfig[Caller]{
		Title: "EventBridge", Prefix: "AWSEvents.", Model: func() (*apimodel.Service, error) { return cfg.Models.Service(Service) }, MaxBody: MaxBody, Error: ErrorOf, Logger: log,
		Caller: func(ctx context.Context) Caller {
			return Caller{Principal: auth.PrincipalFrom(ctx), Region: protocol.RegionFrom(ctx)}
		},
	})}
	h.register()
	return h, nil
}

const (
	reads   = true
	changes = false
)

// register enters every operation that is answered.
func (h *Handler) register() {
	// Its entries are checked one by one, and are too many for two readings.
	h.AddRaw("PutEvents", changes, h.putEvents)
	add(h, "CreateEventBus", changes, h.createBus)
	add(h, "UpdateEventBus", changes, h.updateBus)
	add(h, "DeleteEventBus", changes, h.deleteBus)
	add(h, "DescribeEventBus", reads, h.describeBus)
	add(h, "ListEventBuses", reads, h.listBuses)
	add(h, "PutPermission", changes, h.putPermission)
	add(h, "RemovePermission", changes, h.removePermission)
	add(h, "PutRule", changes, h.putRule)
	add(h, "DeleteRule", changes, h.deleteRule)
	add(h, "EnableRule", changes, h.enableRule)
	add(h, "DisableRule", changes, h.disableRule)
	add(h, "DescribeRule", reads, h.describeRule)
	add(h, "ListRules", reads, h.listRules)
	add(h, "PutTargets", changes, h.putTargets)
	add(h, "RemoveTargets", changes, h.removeTargets)
	add(h, "ListTargetsByRule", reads, h.listTargets)
	add(h, "ListRuleNamesByTarget", reads, h.listRuleNames)
	add(h, "CreateArchive", changes, h.createArchive)
	add(h, "UpdateArchive", changes, h.updateArchive)
	add(h, "DeleteArchive", changes, h.deleteArchive)
	add(h, "DescribeArchive", reads, h.describeArchive)
	add(h, "ListArchives", reads, h.listArchives)
	add(h, "StartReplay", changes, h.startReplay)
	add(h, "CancelReplay", changes, h.cancelReplay)
	add(h, "DescribeReplay", reads, h.describeReplay)
	add(h, "ListReplays", reads, h.listReplays)
	add(h, "CreateConnection", changes, h.createConnection)
	add(h, "UpdateConnection", changes, h.updateConnection)
	add(h, "DeleteConnection", changes, h.deleteConnection)
	add(h, "DeauthorizeConnection", changes, h.deauthorizeConnection)
	add(h, "DescribeConnection", reads, h.describeConnection)
	add(h, "ListConnections", reads, h.listConnections)
	add(h, "CreateApiDestination", changes, h.createDestination)
	add(h, "UpdateApiDestination", changes, h.updateDestination)
	add(h, "DeleteApiDestination", changes, h.deleteDestination)
	add(h, "DescribeApiDestination", reads, h.describeDestination)
	add(h, "ListApiDestinations", reads, h.listDestinations)
	add(h, "TagResource", changes, h.tag)
	add(h, "UntagResource", changes, h.untag)
	add(h, "ListTagsForResource", reads, h.listTags)
	add(h, "TestEventPattern", reads, h.testPattern)
}

// add enters an operation. Rules and buses concern the whole installation.
func add[I any](h *Handler, name string, read bool, answer func(ctx context.Context, c Caller, in *I) (any, error)) {
	action := auth.EventRuleWrite
	if read {
		action = auth.EventRuleRead
	}
	protocol.Add(h.Service, name, read, func(c Caller) error { return auth.Authorize(c.Principal, action, auth.All) }, answer)
}
