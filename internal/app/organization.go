package app

import (
	"context"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/ingest/organization"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// defaultSilence is for how long a hub may bring nothing of a region of an account:
// Security Hub checks most controls once a day.
const defaultSilence = 72 * time.Hour

// openOrganization makes the accounts that everything asks about: those of the
// configuration, and where the organization is followed those of the last reading, so
// that a node that starts while AWS is away knows what it knew.
func (s *Server) openOrganization(ctx context.Context) error {
	listed := s.cfg.Organization.Accounts
	s.live = org.NewLive(org.Merge(listed, nil))
	if !s.cfg.Organization.Sync.Enabled {
		return nil
	}
	members, err := s.store.Members(ctx)
	if err != nil {
		return err
	}
	s.live.Set(org.Merge(listed, members))
	return organization.LoadID(ctx, s.store, s.live)
}

// unseen gives the accounts whose findings Security Hub's API and insights leave out.
func (s *Server) unseen(ctx context.Context) ([]string, error) {
	var out []string
	for _, a := range s.live.Accounts() {
		if a.State.Unseen() {
			out = append(out, a.ID)
		}
	}
	return store.MostFindings(ctx, s.store, out)
}

// buildOrganization makes what follows the organization and finds out coverage.
func (s *Server) buildOrganization(t *stages) error {
	o := s.cfg.Organization
	reader := OrganizationReader(o, "parry-organization")
	member := awsapi.Identity{Role: o.MemberRole, SessionName: "parry-coverage", SourceIdentity: "parry"}
	owner := s.node
	if s.cfg.Database == "" {
		owner = "parry" // nobody else uses this directory: a process that died held nothing up
	}
	var err error
	t.follower, err = organization.New(organization.Config{
		Organization: o, Live: s.live, Store: s.store, Caller: s.gate.ReadOnly(reader),
		Reach: func(ctx context.Context, account string) (organization.Inside, error) {
			return s.gate.Reach(ctx, member, account)
		},
		Regions: CoveredRegions(s.cfg), Feeds: func() []org.Feed { return feeds(s.cfg, t.collectors) },
		Rank: triage.RankAccount, Ranks: len(s.cfg.Priority.Assets) > 0, Shared: s.cfg.Database != "", Owner: owner, Clock: s.clock, Logger: s.log,
	})
	return err
}

// OrganizationReader is as whom AWS Organizations is read: the process itself, or the
// member role in the account that was named for it.
func OrganizationReader(o org.Organization, session string) awsapi.Identity {
	id := awsapi.Identity{SessionName: session, SourceIdentity: "parry"}
	if o.Sync.Account != "" && o.Sync.Account != o.HubAccount {
		id.Role = o.MemberRole
	}
	return id
}

// CoveredRegions are those that should be covered.
func CoveredRegions(cfg config.Config) []string {
	regions := slices.Clone(cfg.Organization.Coverage.Regions)
	if len(regions) == 0 {
		regions = append(regions, cfg.Organization.HomeRegion)
		for _, h := range cfg.Sources.Hubs {
			regions = append(regions, h.Regions()...)
		}
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// feeds are the sources that should bring findings, as they stand on this node. What a
// queue brings is what happens, which may be nothing; a hub has something every day.
func feeds(cfg config.Config, collectors []collector) []org.Feed {
	problems := map[string]string{}
	for _, c := range collectors {
		r := c.Report()
		problems[r.Name] = r.Problem
	}
	silence := cfg.Organization.Coverage.Silence
	if silence == 0 {
		silence = defaultSilence
	}
	var out []org.Feed
	for _, q := range cfg.Sources.Queues {
		out = append(out, org.Feed{Name: q.Name, Covers: queueSource(q).Covers, Problem: problems[q.Name]})
	}
	for _, h := range cfg.Sources.Hubs {
		out = append(out, org.Feed{Name: h.Name, Covers: hubSource(h).Covers, Regions: h.Regions(), Silence: max(silence, 0), Problem: problems[h.Name]})
	}
	return out
}

// sawSource tells the follower, which is made after those who see.
func (s *Server) sawSource(source, account, region string) {
	if s.stages != nil {
		s.stages.follower.Seen(source, account, region)
	}
}
