package app

import (
	"context"
	"encoding/json"
	"time"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/ingest/pull"
	"github.com/parry-security/parry/internal/ingest/sqs"
	"github.com/parry-security/parry/internal/normalize/eventbridge"
	"github.com/parry-security/parry/internal/notify/writeback"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// collector is a source that reads by itself.
type collector interface {
	service.Service
	Report() ingest.Report
}

// readDocument is the normalize stage as the ways in see it.
func readDocument(raw []byte) (ingest.Document, error) {
	m, err := eventbridge.Read(raw)
	return ingest.Document(m), err
}

// queueGrants are what collecting from a queue is: see ownTraffic.
func queueGrants(q config.QueueSource) []awsapi.Grant {
	grants := make([]awsapi.Grant, 0, 3)
	for _, operation := range []string{"ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"} {
		grants = append(grants, awsapi.Grant{Service: "sqs", Operation: operation, ARN: q.ARN()})
	}
	return grants
}

func queueSource(q config.QueueSource) ingest.Source {
	return ingest.Source{Name: q.Name, Accounts: q.Accounts, Products: q.Products, Trusted: q.Trusted, Setting: "sources.queues in parry.yaml"}
}

// hubGrants are what writing back to a hub is: see ownTraffic.
func hubGrants(h config.HubSource) []awsapi.Grant {
	var grants []awsapi.Grant
	if h.WriteBack {
		for _, arn := range h.ProductARNs() {
			grants = append(grants, awsapi.Grant{Service: "securityhub", Operation: "BatchUpdateFindings", ARN: arn})
		}
	}
	return grants
}

func hubSource(h config.HubSource) ingest.Source {
	return ingest.Source{Name: h.Name, Accounts: h.Accounts, Products: h.Products, Trusted: h.Trusted, Setting: "sources.hubs in parry.yaml"}
}

// hubIdentity is as whom a hub is asked: the process itself, or the member role
// of the account whose hub it is.
func (s *Server) hubIdentity(h config.HubSource, session string) awsapi.Identity {
	id := awsapi.Identity{SessionName: session, AtAWS: true}
	if h.Account != "" && h.Account != s.cfg.Organization.HubAccount {
		id.Role = s.cfg.Organization.MemberRole
	}
	return id
}

// buildWriteBack makes the stage that tells hubs what was decided here. It comes
// before triage, which asks it what concerns it.
func (s *Server) buildWriteBack(t *stages) error {
	var hubs []writeback.Hub
	for _, h := range s.cfg.Sources.Hubs {
		if h.WriteBack {
			hubs = append(hubs, writeback.Hub{
				Region: h.Region, Account: h.Account, Products: h.ProductARNs(),
				Reads:  s.gate.ReadOnly(s.hubIdentity(h, "parry-writeback")),
				Writes: s.gate.OwnTraffic(s.hubIdentity(h, "parry-writeback"), t.grants),
			})
		}
	}
	var err error
	t.writeback, err = writeback.New(writeback.Config{Hubs: hubs, Store: s.store, Clock: s.clock, Logger: s.log})
	return err
}

// buildSources makes the collectors of the configured queues and hubs.
func (s *Server) buildSources(t *stages) error {
	for _, h := range s.cfg.Sources.Hubs {
		c, err := pull.New(pull.Config{
			Source: hubSource(h), Region: h.Region, Account: h.Account, Products: h.ProductARNs(), Caller: s.gate.ReadOnly(s.hubIdentity(h, "parry-collect")),
			Store: s.store, Read: readDocument, Every: h.Every, Reconcile: h.Reconcile, Owner: s.node, Clock: s.clock, Logger: s.log, Wake: t.triage.Wake,
		})
		if err != nil {
			return err
		}
		t.collectors = append(t.collectors, c)
	}
	for _, q := range s.cfg.Sources.Queues {
		c, err := sqs.New(sqs.Config{
			URL: q.URL, Region: q.Region, Source: queueSource(q), Store: s.store, Read: readDocument, Forward: q.Events, Receivers: q.Receivers,
			Caller: s.gate.OwnTraffic(awsapi.Identity{SessionName: "parry-collect"}, t.grants), Clock: s.clock, Logger: s.log, Wake: t.triage.Wake, Seen: s.sawSource,
		})
		if err != nil {
			return err
		}
		t.collectors = append(t.collectors, c)
	}
	return nil
}

// sources shows the sources, and what they sent in vain, to the API.
type sources struct {
	store *store.Store
	clock service.Clock
	wake  func()
	all   []collector
	byID  map[string]ingest.Source
}

func (s *Server) newSources() *sources {
	out := &sources{store: s.store, clock: s.clock, wake: s.stages.triage.Wake, all: s.stages.collectors, byID: map[string]ingest.Source{}}
	for _, q := range s.cfg.Sources.Queues {
		out.byID[q.Name] = queueSource(q)
	}
	for _, h := range s.cfg.Sources.Hubs {
		out.byID[h.Name] = hubSource(h)
	}
	return out
}

// Reports gives every configured source with what it did on this node.
func (s *sources) Reports() []ingest.Report {
	out := make([]ingest.Report, 0, len(s.all))
	for _, c := range s.all {
		out = append(out, c.Report())
	}
	return out
}

// ListRejected gives a page of what was rejected.
func (s *sources) ListRejected(ctx context.Context, source string, limit int, cursor string) ([]store.Rejected, string, error) {
	return s.store.ListRejected(ctx, source, limit, cursor)
}

// Rejected gives one with its body.
func (s *sources) Rejected(ctx context.Context, id string) (store.Rejected, error) {
	return s.store.Rejected(ctx, id)
}

// DropRejected forgets one.
func (s *sources) DropRejected(ctx context.Context, id, by string) error {
	eff, err := s.audit("source.rejected.dropped", id, by)
	if err != nil {
		return err
	}
	return s.store.DropRejected(ctx, id, eff)
}

// RetryRejected sends one in again, as its source may speak now; one of a source
// that is not configured, such as a file, as own may.
func (s *sources) RetryRejected(ctx context.Context, id, by string, own ingest.Source) error {
	const op = "retry rejected message"
	r, err := s.store.Rejected(ctx, id)
	if err != nil {
		return err
	}
	if r.Cut {
		return fault.Errorf(fault.Invalid, op, "only the first %d bytes of it were kept", store.MaxRejectedBody).WithHint("send it again from where it came")
	}
	source, ok := s.byID[r.Source]
	if !ok {
		source = own
	}
	taken := source.Take(readDocument, r.Body, r.Place, s.clock.Now(), false)
	for _, again := range taken.Aside {
		if again.FindingID == r.FindingID {
			return fault.Errorf(fault.Invalid, op, "%s", again.Reason).WithHint("mend the cause, or forget it: parry source drop %s", id)
		}
	}
	if err := s.store.AppendInbox(ctx, taken.Items); err != nil {
		return err
	}
	s.wake()
	eff, err := s.audit("source.rejected.retried", id, by)
	if err != nil {
		return err
	}
	return s.store.DropRejected(ctx, id, eff)
}

func (s *sources) audit(action, id, by string) (store.Effects, error) {
	detail, err := json.Marshal(map[string]string{"id": id})
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, "audit", err)
	}
	return store.Effects{Audit: []store.AuditRecord{{At: s.clock.Now(), Actor: by, Action: action, Object: id, Detail: detail}}}, nil
}

// maxImport bounds the documents of one call of Import; the body has 1 MB.
const maxImport = 500

// Import takes documents of a file as own may speak. Places are where each
// stands in the file.
func (s *sources) Import(ctx context.Context, own ingest.Source, documents []api.ImportDocument) (api.ImportResult, error) {
	const op = "import documents"
	if len(documents) == 0 || len(documents) > maxImport {
		return api.ImportResult{}, fault.Errorf(fault.Invalid, op, "%d documents are not between 1 and %d", len(documents), maxImport)
	}
	result := api.ImportResult{Rejected: []api.ImportProblem{}}
	var taken ingest.Taken
	now := s.clock.Now().Truncate(time.Microsecond)
	for i, d := range documents {
		one := own.Take(readDocument, []byte(d.Text), d.Place, now, false)
		if len(one.Items) == 0 && len(one.Aside) == 0 {
			one.Aside = append(one.Aside, store.Rejected{Code: finding.CodeInvalidInput, Reason: "it is an event that holds no finding", Place: d.Place})
			result.Rejected = append(result.Rejected, problemOf(i, one.Aside[0]))
			continue
		}
		for _, r := range one.Aside {
			result.Rejected = append(result.Rejected, problemOf(i, r))
		}
		taken.Add(one)
	}
	result.Accepted = len(taken.Items)
	if err := s.store.AppendInbox(ctx, taken.Items); err != nil {
		return api.ImportResult{}, err
	}
	if len(taken.Items) > 0 {
		s.wake()
	}
	return result, s.store.PutRejected(ctx, taken.Aside)
}

func problemOf(index int, r store.Rejected) api.ImportProblem {
	return api.ImportProblem{Index: index, Place: r.Place, ID: r.FindingID, Code: r.Code, Reason: r.Reason}
}
