package app

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/audit"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/awsfront"
	"github.com/parry-security/parry/internal/awsfront/events"
	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/awsfront/sts"
	"github.com/parry-security/parry/internal/console"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/sweep"
)

// newHandler makes the one port: the AWS APIs that Parry answers and its own.
func (s *Server) newHandler(ctx context.Context) (http.Handler, error) {
	since := s.clock.Now()
	if first, err := s.store.AuditEntries(ctx, 0, 1); err == nil && len(first) == 1 {
		since = first[0].At // the first start of this installation
	}
	find := finder{s.store, s.stages.triage.Drain, s.clock, s.unseen}
	units := &targets{s.cfg.Organization, s.live, s.gate.ReadOnly(awsapi.Identity{SessionName: "parry-units"})}
	hub, err := securityhub.New(securityhub.Config{
		FinderV2: ocsfFinder{s.store, s.stages.triage.Drain, s.clock, s.unseen},
		Units: func(ctx context.Context, unit string) ([]string, error) {
			return units.accounts(ctx, []string{unit}, true, nil)
		},
		Importer: s.stages.intake, Updater: s.stages.triage, Finder: find, Controls: s.store, Rules: s.stages.rules, Insights: s.stages.insight,
		Account: s.cfg.Organization.HubAccount, Partition: s.cfg.Organization.Partition, Since: since, History: s.store,
		Accounts: s.live.Accounts, Region: s.cfg.Organization.HomeRegion, Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	manager, err := s.newSystemsManager(s.loop.models)
	if err != nil {
		return nil, err
	}
	s.loop.automation = manager
	s.loop.findings = &findingLoop{update: s.stages.triage.Update, query: find.QueryFindings, byID: s.store.Findings}
	bus, err := events.New(events.Config{
		Models: s.loop.models, Desk: s.stages.buses, Putter: s.stages.exchange, Starts: s.loop.mayHaveStarted, Account: s.cfg.Organization.HubAccount, Partition: s.cfg.Organization.Partition, Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	tokens, err := sts.New(sts.Config{Account: s.cfg.Organization.HubAccount, Partition: s.cfg.Organization.Partition})
	if err != nil {
		return nil, err
	}
	var restored store.RestoredAt
	if err := s.store.SourceState(ctx, store.StateRestored, &restored); err != nil {
		return nil, err
	}
	people, err := auth.NewPeople(auth.PeopleConfig{Persons: s.store, Sessions: s.store, Tries: s.store, Updater: s.store, NotBefore: restored.At, Clock: s.clock, IDs: s.ids, Logger: s.log})
	if err != nil {
		return nil, err
	}
	proxies, err := s.cfg.TrustedProxies()
	if err != nil {
		return nil, err
	}
	if s.streams, err = api.NewStreams(api.StreamsConfig{Watcher: s.store, Logger: s.log}); err != nil {
		return nil, err
	}
	pages, err := console.New()
	if err != nil {
		return nil, err
	}
	sweeper, err := sweep.New(sweep.Config{Gate: SweepGate(s.gate, s.cfg.Organization.MemberRole), Findings: sweepReporter{s.store}, Regions: askRegions(s.cfg.Organization.HomeRegion)})
	if err != nil {
		return nil, err
	}
	inviter, err := s.inviter()
	if err != nil {
		return nil, err
	}
	rest, err := api.New(api.Config{
		Inviter: inviter, ConsoleURL: s.cfg.Invitations.ConsoleURL(),
		People: people, Joiner: people, Passwords: people, Streams: s.streams, Views: s.store,
		Findings: s.store, Ranker: s.stages.triage, Remediations: s.store, Journal: s.store, Redact: s.gate.Redacted, Approvals: s.store, Approver: s.stages.approve, Requester: s.stages.desk, Work: work{s.stages.triage, s.stages.approve, s.stages.execute, s.content},
		Audit: auditLog{s.store, s.stages.audit}, Switch: s.store, Keys: s.store, Persons: s.store, Remover: s.store, Attacher: manager, Rules: s.stages.rules, Exceptions: s.stages.exceptions, Cases: s.stages.respond, Insights: s.stages.insight, Counter: s.store, Executions: executions{s.store}, Sources: s.newSources(), Guards: s.guardReport, Controls: s.store, Detective: s.cfg.Sources.Detective, Accounts: s.live.Accounts,
		Follower: s.stages.follower, Directory: s.store, Followed: s.cfg.Organization.Sync.Enabled, Covered: s.stages.follower.Covers(),
		Bus: s.busAPI(), Channels: s.stages.notify, Sweeper: sweeper, Regions: CoveredRegions(s.cfg), Ready: s.store.Ping, Version: s.version, Clock: s.clock, Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	keyring, err := auth.NewKeyring(s.store)
	if err != nil {
		return nil, err
	}
	return awsfront.New(awsfront.Config{
		Keys: keyring, Signatures: s.store, NotBefore: restored.At, Health: http.HandlerFunc(rest.ServeHealth), People: people, Pages: pages, Proxies: proxies, Clock: s.clock, IDs: s.ids, Logger: s.log,
		Services: map[string]awsfront.Service{"securityhub": hub, ssm.Service: manager, "sts": tokens, events.Service: bus, api.Service: rest},
	})
}

// auditLog shows the audit stage to the API.
type auditLog struct {
	store    *store.Store
	appender *audit.Appender
}

// VerifyAudit recomputes the chain, with what waits to be chained put in first.
func (a auditLog) VerifyAudit(ctx context.Context) (api.AuditReport, error) {
	if _, err := a.appender.Drain(ctx); err != nil {
		return api.AuditReport{}, err
	}
	report, err := audit.Verify(ctx, a.store, nil)
	if err != nil {
		return api.AuditReport{}, err
	}
	out := api.AuditReport{OK: report.OK, Entries: report.Entries, Head: report.Head.Hash}
	if report.Broken != nil {
		out.Problem = report.Broken.Error()
	}
	out.Restored = report.Restored
	return out, nil
}

// AuditEntries gives up to n entries after an index.
func (a auditLog) AuditEntries(ctx context.Context, after int64, n int) ([]store.AuditEntry, error) {
	return a.store.AuditEntries(ctx, after, n)
}
