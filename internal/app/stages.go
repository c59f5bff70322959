package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/audit"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	ingesthttp "github.com/parry-security/parry/internal/ingest/http"
	"github.com/parry-security/parry/internal/ingest/organization"
	"github.com/parry-security/parry/internal/insight"
	"github.com/parry-security/parry/internal/normalize"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/writeback"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/respond"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
	"github.com/parry-security/parry/internal/verify"
)

// stages are the verbs that a finding passes, each wired to its neighbours.
type stages struct {
	intake *ingesthttp.Intake
	triage *triage.Triage
	rules  *triage.RuleDesk
	// exceptions are the accepted risks.
	exceptions *triage.ExceptionDesk
	insight    *insight.Desk
	route      *route.Stage
	// exchange has the rules of the bus in force that book reads; courier delivers.
	exchange  *route.Exchange
	book      *route.Book
	buses     *route.Desk
	timetable *route.Timetable
	replayer  *route.Replayer
	courier   *bus.Courier
	plan      *plan.Stage
	desk      *plan.Desk
	approve   *approve.Stage
	execute   *execute.Stage
	verify    *verify.Stage
	notify    *notify.Stage
	respond   *respond.Desk
	audit     *audit.Appender
	grants    []awsapi.Grant
	// collectors are the sources that read by themselves.
	collectors []collector
	follower   *organization.Follower
	writeback  *writeback.Stage

	runs      *runs
	documents *documents
	access    plan.Access
}

// deskRuns is what the desk needs to start documents.
type deskRuns struct {
	*store.Store
	documents *documents
}

// Resolve pins a version of a document.
func (d deskRuns) Resolve(ctx context.Context, name, version string) (remediation.Runbook, error) {
	return d.documents.Resolve(ctx, name, version)
}

func (s *Server) newStages() (*stages, error) {
	t := &stages{grants: s.ownTraffic()}
	for _, build := range []func(*stages) error{s.buildWriteBack, s.buildIntake, s.buildRoute, s.buildExchange, s.buildRemediation, s.buildNotify, s.buildRespond, s.buildAudit, s.buildSources, s.buildOrganization} {
		if err := build(t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// buildIntake makes the way in: intake and triage with the automation rules.
func (s *Server) buildIntake(t *stages) error {
	rules, err := s.automationRules()
	if err != nil {
		return err
	}
	book := triage.NewRulebook(s.store, rules, s.log)
	scorer, err := triage.NewScorer(s.cfg.Priority, s.live.Account)
	if err != nil {
		return err
	}
	if t.triage, err = triage.New(triage.Config{
		Store: s.store, Scorer: scorer, Rules: book, Exceptions: triage.NewExceptionBook(s.store, s.log), Clock: s.clock, Logger: s.log,
		AccountName: s.accountName, Seen: s.sawSource, WriteBack: t.writeback.Concerns, EventsV2: s.cfg.Findings.EventsV2,
	}); err != nil {
		return err
	}
	if t.rules, err = triage.NewRuleDesk(triage.RuleDeskConfig{
		Triage: t.triage, Book: book, Rules: s.store, Runs: s.store, Pages: s.store, Account: s.cfg.Organization.HubAccount,
		Partition: s.cfg.Organization.Partition, Node: s.node, Lease: s.store, IDs: s.ids, Clock: s.clock, Logger: s.log,
	}); err != nil {
		return err
	}
	if t.exceptions, err = triage.NewExceptionDesk(triage.ExceptionDeskConfig{
		Triage: t.triage, Store: s.store, Pages: s.store, Longest: time.Duration(s.cfg.Exceptions.MaxDays) * 24 * time.Hour, Warn: s.cfg.Exceptions.WarnDays,
		Account: s.cfg.Organization.HubAccount, Node: s.node, Lease: s.store, IDs: s.ids, Clock: s.clock, Logger: s.log,
	}); err != nil {
		return err
	}
	managed, err := insight.LoadManaged(catalog.FS, s.cfg.Organization.Partition)
	if err != nil {
		return err
	}
	if t.insight, err = insight.NewDesk(insight.Config{
		Store: s.store, Drain: t.triage.Drain, Managed: managed, Account: s.cfg.Organization.HubAccount,
		Partition: s.cfg.Organization.Partition, Region: s.cfg.Organization.HomeRegion, IDs: s.ids, Clock: s.clock, Unseen: s.unseen,
	}); err != nil {
		return err
	}
	t.intake, err = ingesthttp.New(ingesthttp.Config{Inbox: s.store, Normalizer: normalize.Finding{}, Clock: s.clock, Logger: s.log, Wake: t.triage.Wake})
	return err
}

func (s *Server) accountName(id string) string {
	a, _ := s.live.Account(id)
	return a.Name
}

// automationRules parses the configured rules. A bad one is disabled loudly;
// the others go on.
func (s *Server) automationRules() ([]rule.Rule, error) {
	disabled := func(place int, name string, err error) {
		s.log.Error("automation rule disabled", "place", fmt.Sprintf("automation_rules[%d]", place), "name", name, "error", err, "hint", fault.HintOf(err))
	}
	list := make([]json.RawMessage, 0, len(s.cfg.AutomationRules))
	places := make([]int, 0, len(s.cfg.AutomationRules))
	for i, d := range s.cfg.AutomationRules {
		var text json.RawMessage
		if err := json.Unmarshal(d, &text); err != nil { // a list with it in would be no JSON either
			disabled(i, "", fault.E(fault.Invalid, "parse rule", err).WithHint("check the JSON, or write the rule as YAML"))
			continue
		}
		list, places = append(list, text), append(places, i)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, fault.E(fault.Invalid, "read automation_rules", err)
	}
	rules, problems := rule.ParseAll(raw)
	for _, p := range problems {
		disabled(places[p.Index], p.Name, p.Err)
	}
	return rules, nil
}

// configuredRules are those of parry.yaml.
func (s *Server) configuredRules() []route.Rule {
	rules := make([]route.Rule, 0, len(s.cfg.BusRules))
	for _, r := range s.cfg.BusRules {
		next := route.Rule{ID: r.Name, Name: r.Name, Pattern: json.RawMessage(r.Pattern), Enabled: !r.Disabled}
		for _, name := range r.Playbooks {
			next.Targets = append(next.Targets, route.Target{Kind: route.Playbook, Name: name})
		}
		for _, name := range r.Channels {
			next.Targets = append(next.Targets, route.Target{Kind: route.Channel, Name: name})
		}
		for _, name := range r.Cases {
			next.Targets = append(next.Targets, route.Target{Kind: route.Case, Name: name})
		}
		rules = append(rules, next)
	}
	return rules
}

func (s *Server) buildRoute(t *stages) error {
	table := route.Compile(s.configuredRules(), s.routeTargets())
	var err error
	t.route, err = route.New(route.Config{Store: s.store, Table: table, Cases: s.cfg.CaseTemplates(), Logger: s.log, Answers: func(control string) (string, bool) {
		pb, ok := s.content.PlaybookFor(control)
		return pb.ID, ok
	}})
	return err
}

// routeTargets says which playbooks, channels and case templates there are.
func (s *Server) routeTargets() route.Known {
	channels, templates := map[string]bool{}, s.cfg.CaseTemplates()
	for _, c := range s.cfg.Channels {
		channels[c.Name] = true
	}
	return route.Known{
		Playbook: func(name string) bool { _, ok := s.content.Playbook(name); return ok },
		Channel:  func(name string) bool { return channels[name] },
		Case:     func(name string) bool { _, ok := templates[name]; return ok },
	}
}

// buildRemediation makes plan, approve, execute and verify. The durable engine
// is given to execute when it is open.
func (s *Server) buildRemediation(t *stages) error {
	engine, err := automation.New(automation.Config{Clock: automation.RealClock{Clock: s.clock}, Logger: s.log, Class: s.models.ClassifyCall, Inline: crashInline()})
	if err != nil {
		return err
	}
	runner, err := NewScripts(s.cfg, s.clock, s.log.With("component", "script"))
	if err != nil {
		return err
	}
	s.scripts = runner
	if s.local {
		s.scripts = onDemand{runner}
	}
	s.steps = newStepWriter(s.store, s.cfg.Organization.Partition, s.log)
	documents := &documents{s.store, s.content}
	access := plan.Access{Rules: s.cfg.Documents, Open: s.local}
	hooks, err := newWebhooks(s.cfg.Webhooks)
	if err != nil {
		return err
	}
	t.runs = &runs{
		store: crashRuns(s.store), documents: documents, targets: &targets{s.cfg.Organization, s.live, s.gate.ReadOnly(awsapi.Identity{SessionName: "parry-targets"})}, binds: s.gate.Binds, webhooks: hooks,
		identity: awsapi.Identity{Role: s.cfg.Organization.MemberRole}, scripts: Scripts(runner), facts: s.scriptFacts,
	}
	interpreter := interpreter{engine: engine, partition: s.cfg.Organization.Partition, steps: s.steps, runs: t.runs}
	open := &sessions{gate: s.gate, org: s.cfg.Organization, store: crashSessions(s.store), fence: func(ctx context.Context) error { return s.engine.Fence(ctx) }, reread: s.cfg.AWS.Reread(), rereadShared: s.cfg.AWS.RereadShared()}
	if t.plan, err = plan.New(plan.Config{
		Store: s.store, Content: s.content, Gate: planSessions{open}, Dry: interpreter, Account: s.live.Account, MemberRole: s.cfg.Organization.MemberRole, Partition: s.cfg.Organization.Partition,
		Runs: s.store, Rehearse: interpreter, Access: access, RereadAfter: s.cfg.AWS.Reread(), Clock: s.clock, Logger: s.log.With("component", "plan"),
	}); err != nil {
		return err
	}
	t.desk = plan.NewDesk(s.store, s.content, s.ids, s.clock).StartsDocuments(deskRuns{s.store, documents})
	t.access, t.documents = access, documents
	if t.approve, err = approve.New(approve.Config{
		Store: s.store, Policies: s.cfg.Policies, Account: s.live.Account, Self: s.local, Clock: s.clock, Logger: s.log.With("component", "approve"),
	}); err != nil {
		return err
	}
	if t.execute, err = execute.New(execute.Config{
		Store: crashExecutions(s.store), Gate: executeSessions{open}, Interpreter: interpreter, Announce: s.announceExecution, Excepted: s.exceptionOf, Clock: s.clock, Logger: s.log.With("component", "execute"),
	}); err != nil {
		return err
	}
	t.runs.execute, t.runs.approve = t.execute, t.approve
	t.verify, err = verify.New(verify.Config{
		Store: s.store, Playbooks: s.content, Gate: verifySessions{open}, RereadAfter: s.cfg.AWS.Reread(), Clock: s.clock, Logger: s.log.With("component", "verify"),
	})
	return err
}

// exceptionOf names the exception that suppresses a finding, "" for none.
func (s *Server) exceptionOf(ctx context.Context, id finding.ID) (string, error) {
	found, err := s.store.Findings(ctx, []finding.ID{id})
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].Exception, nil
}

func (s *Server) buildRespond(t *stages) error {
	org := s.cfg.Organization
	var err error
	t.respond, err = respond.New(respond.Config{
		Store: s.store, Templates: s.cfg.CaseTemplates(), Account: org.HubAccount, Region: org.HomeRegion, Partition: org.Partition, IDs: s.ids, Clock: s.clock, Logger: s.log,
	})
	return err
}

func (s *Server) buildAudit(t *stages) error {
	var err error
	t.audit, err = audit.New(audit.Config{Chain: s.store, Lease: s.store, Node: s.node, Clock: s.clock, Logger: s.log})
	return err
}

// announce puts events of Parry's own before all rules: those of parry.yaml, then the
// others with the archives. One that the first refused was kept aside by then.
func (t *stages) announce(ctx context.Context, payload []byte) error {
	err := t.route.Handle(ctx, payload)
	if err != nil && !fault.IsTerminal(err) {
		return err
	}
	return errors.Join(err, t.exchange.Publish(ctx, payload))
}

// newDispatchers carry both outboxes to the stages.
func (s *Server) newDispatchers() ([]service.Service, error) {
	t := s.stages
	handlers := map[store.File]map[string]bus.Handler{
		store.Findings: {
			store.TopicEvent: func(ctx context.Context, d bus.Delivery) error {
				t.follower.Notice(d.Payload)
				return t.announce(ctx, d.Payload)
			},
			store.TopicAction:     func(ctx context.Context, d bus.Delivery) error { return t.route.HandleAction(ctx, d.Payload) },
			triage.TopicRank:      func(ctx context.Context, d bus.Delivery) error { return t.triage.HandleRank(ctx, d.Payload) },
			triage.TopicInbox:     func(ctx context.Context, d bus.Delivery) error { return t.triage.HandleInbox(ctx, d.Payload) },
			triage.TopicWriteBack: func(ctx context.Context, d bus.Delivery) error { return t.writeback.Handle(ctx, d.Payload) },
		},
		store.Execution: {
			store.TopicEvent:       func(ctx context.Context, d bus.Delivery) error { return t.announce(ctx, d.Payload) },
			store.TopicPlan:        func(ctx context.Context, d bus.Delivery) error { return t.plan.Handle(ctx, d.Payload) },
			store.TopicApprove:     func(ctx context.Context, d bus.Delivery) error { return t.approve.Handle(ctx, d.Payload) },
			store.TopicWake:        func(ctx context.Context, d bus.Delivery) error { return t.execute.Wake(ctx, d.Payload) },
			store.TopicExecute:     func(ctx context.Context, d bus.Delivery) error { return t.execute.Handle(ctx, d.Payload) },
			store.TopicVerify:      func(ctx context.Context, d bus.Delivery) error { return t.verify.Handle(ctx, d.Payload, d.Attempts) },
			store.TopicAnnotate:    func(ctx context.Context, d bus.Delivery) error { return t.triage.HandleAnnotate(ctx, d.Payload) },
			store.TopicCase:        func(ctx context.Context, d bus.Delivery) error { return t.respond.Handle(ctx, d.Payload) },
			store.TopicNotify:      func(ctx context.Context, d bus.Delivery) error { return t.notify.Handle(ctx, d.Payload) },
			store.TopicNotifyGroup: func(ctx context.Context, d bus.Delivery) error { return t.notify.HandleGroup(ctx, d.Payload) },
		},
	}
	// A plan is carried out before the next is made: what it read is then still recent.
	first := map[store.File][]string{store.Execution: {store.TopicApprove, store.TopicExecute, store.TopicWake, store.TopicVerify}}
	var out []service.Service
	for _, file := range []store.File{store.Findings, store.Execution} {
		d, err := bus.New(bus.Config{
			Outbox: outbox{s.store, file}, File: string(file), Handlers: handlers[file], Owner: s.node, Clock: s.clock,
			Logger: s.log.With("component", "bus"), Wake: s.store.NotifyChan(file), First: first[file],
		})
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// hashOf is the SHA-256 of v as JSON.
func hashOf(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
