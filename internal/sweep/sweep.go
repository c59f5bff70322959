package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
)

const (
	// DefaultWorkers is how many places are swept at once.
	DefaultWorkers = 8
	// readers is how many resources of one place are looked at at once. How fast AWS
	// is called is the throttle's affair.
	readers = 4
	// maxAtOnce is how many sweeps one process makes at once.
	maxAtOnce = 4
	// MaxPlaces bounds one sweep: accounts times Regions.
	MaxPlaces = 20_000
	// MaxListed bounds what is reported of one place; there may be more.
	MaxListed = 1000
)

// Caller makes one reading call.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// Gate opens reading sessions and reads listings.
type Gate interface {
	// Reader opens a read-only session for somebody.
	Reader(by string) Caller
	// Pages gives the pages of a listing, of which an operation may have just one.
	Pages(ctx context.Context, caller Caller, call apimodel.Call, page func(map[string]any) error) error
}

// Reporter knows the findings about a resource.
type Reporter interface {
	// Reports gives the active findings of any of the controls about a resource, at most
	// a few. region "" is any.
	Reports(ctx context.Context, controls []string, r playbook.Resource, region string) ([]Finding, error)
}

// Finding is a finding that is about a resource.
type Finding struct {
	Key        string
	Workflow   string
	Compliance string
}

// Config is what New needs.
type Config struct {
	Gate Gate // required
	// Findings tells what is reported; nil = nothing is.
	Findings Reporter
	// Regions says of every Region whether it is on in an account. It is asked once for an
	// account, where one of the Regions may be off; nil = all are taken for on.
	Regions func(ctx context.Context, caller Caller, account string) (map[string]bool, error)
	Workers int // default DefaultWorkers
}

// Sweeper sweeps. Safe for concurrent use.
type Sweeper struct {
	Config
	turns chan struct{}
}

// New checks cfg and fills defaults.
func New(cfg Config) (*Sweeper, error) {
	if cfg.Gate == nil {
		return nil, fault.Errorf(fault.Internal, "make sweeper", "gate is required")
	}
	if cfg.Workers <= 0 {
		cfg.Workers = DefaultWorkers
	}
	return &Sweeper{cfg, make(chan struct{}, maxAtOnce)}, nil
}

// Request is one sweep.
type Request struct {
	Playbook playbook.Playbook
	Accounts []org.Account
	Regions  []string
	By       string
}

// Place is what was found in one account and Region. A playbook whose resources are of
// the whole account has one place in an account.
type Place struct {
	Account string
	Name    string // of the account
	Region  string
	// Checked counts the resources that the control is about, Outside those that it is
	// not about.
	Checked, Outside int
	Failing          []Resource
	// Unread are resources whose state is not known.
	Unread []Unread
	// Off says that the Region is turned off in the account: there is nothing to reach,
	// and it was not swept.
	Off bool
	// Problem says why the place was not swept, or not to its end; "" = it was.
	Problem, Hint string
	// More says that there are more failing or unread resources than are listed.
	More bool
}

// Resource is a resource that fails.
type Resource struct {
	ARN      string
	Checks   []remediation.CheckResult // those that fail
	Findings []Finding                 // that report it; none = nothing did
}

// Reported tells whether a finding says that the resource fails. One that says it passes
// does not.
func (r Resource) Reported() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Compliance != "PASSED" })
}

// Unread is a resource that could not be read.
type Unread struct{ ARN, Problem, Hint string }

// Check says why a request cannot be swept.
func (r Request) Check() error {
	const op = "sweep"
	switch {
	case r.Playbook.Sweep == nil:
		return fault.Errorf(fault.Invalid, op, "playbook %s does not say how its resources are found", r.Playbook.ID).WithHint("add sweep to the playbook: docs/playbooks.md")
	case len(r.Accounts) == 0 || len(r.Regions) == 0:
		return fault.Errorf(fault.Invalid, op, "there is no account or no Region to look in").WithHint("name accounts, or the whole organization: --org")
	case len(r.targets(nil)) > MaxPlaces:
		return fault.Errorf(fault.Exhausted, op, "%d accounts in %d Regions are more than %d places", len(r.Accounts), len(r.Regions), MaxPlaces).WithHint("name fewer accounts or Regions")
	}
	return nil
}

// Sweep looks in every place and gives each to tell as soon as it is done, one at a
// time, in no order. An error of tell ends the sweep.
func (s *Sweeper) Sweep(ctx context.Context, r Request, tell func(Place) error) error {
	if err := r.Check(); err != nil {
		return err
	}
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	default:
		return fault.Errorf(fault.Exhausted, "sweep", "%d sweeps are under way", maxAtOnce).WithHint("try again when one has ended")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	caller := s.Gate.Reader(r.By)
	todo, done := make(chan target), make(chan Place)
	var workers sync.WaitGroup
	targets := r.targets(s.regions(ctx, r, caller))
	for range min(s.Workers, len(targets)) {
		workers.Go(func() {
			for t := range todo {
				p := s.place(ctx, r, t, caller)
				select {
				case done <- p:
				case <-ctx.Done():
				}
			}
		})
	}
	go func() {
		defer close(done)
		defer workers.Wait()
		defer close(todo)
		for _, t := range targets {
			select {
			case todo <- t:
			case <-ctx.Done():
				return
			}
		}
	}()
	for p := range done {
		if ctx.Err() != nil {
			continue // drain, so that nobody is left behind
		}
		if err := tell(p); err != nil {
			cancel(err)
		}
	}
	return context.Cause(ctx)
}

// place sweeps one place.
func (s *Sweeper) place(ctx context.Context, r Request, t target, caller Caller) Place {
	p := Place{Account: t.account.ID, Name: t.account.Name, Region: t.regions[0]}
	if why := t.account.State.Idle(); why != "" {
		p.Problem, p.Hint = why, "see what happened to it: parry org show "+t.account.ID
		return p
	}
	if p.Region, p.Off = t.region(); p.Off {
		return p
	}
	at := playbook.Place{Partition: apimodel.Partition(p.Region), Account: t.account.ID, Region: p.Region}
	if r.Playbook.Sweep.List == nil {
		s.look(ctx, r.Playbook, []playbook.Candidate{r.Playbook.Self(at)}, caller, &p)
		// The account is the only resource there: not to read it is not to sweep it.
		if len(p.Unread) == 1 {
			p.Problem, p.Hint, p.Unread = p.Unread[0].Problem, p.Unread[0].Hint, nil
		}
		return p
	}
	call, err := r.Playbook.Sweep.List.Call(at)
	if err == nil {
		err = s.Gate.Pages(ctx, caller, call, func(page map[string]any) error {
			candidates, err := r.Playbook.Candidates(page, at)
			if err == nil {
				s.look(ctx, r.Playbook, candidates, caller, &p)
			}
			return err
		})
	}
	if err != nil {
		p.Problem, p.Hint = explain(err, t.account.ID)
	}
	return p
}

// verdict is what was seen of one candidate.
type verdict struct {
	results []remediation.CheckResult
	outside bool
	err     error
	known   []Finding
}

// look runs the check on resources and adds what it saw to p.
func (s *Sweeper) look(ctx context.Context, pb playbook.Playbook, candidates []playbook.Candidate, caller Caller, p *Place) {
	seen := make([]verdict, len(candidates))
	turns := make(chan struct{}, readers)
	var all sync.WaitGroup
	for i, c := range candidates {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			seen[i] = s.one(ctx, pb, c, caller)
		})
	}
	all.Wait()
	for i, c := range candidates {
		v := seen[i]
		switch {
		case v.err != nil:
			problem, hint := explain(v.err, c.Resource.Account)
			p.addUnread(Unread{c.Resource.ARN, problem, hint})
			continue
		case v.outside:
			p.Outside++
			continue
		}
		p.Checked++
		if failing := slices.DeleteFunc(v.results, func(r remediation.CheckResult) bool { return r.Passed }); len(failing) > 0 {
			p.addFailing(Resource{ARN: c.Resource.ARN, Checks: failing, Findings: v.known})
		}
	}
}

func (p *Place) addFailing(r Resource) {
	if len(p.Failing) == MaxListed {
		p.More = true
		return
	}
	p.Failing = append(p.Failing, r)
}

func (p *Place) addUnread(u Unread) {
	if len(p.Unread) == MaxListed {
		p.More = true
		return
	}
	p.Unread = append(p.Unread, u)
}

// one looks at one resource, and where it fails for findings about it.
func (s *Sweeper) one(ctx context.Context, pb playbook.Playbook, c playbook.Candidate, caller Caller) verdict {
	var v verdict
	var readings playbook.Readings
	readings, v.results, v.err = pb.Look(c.Resource, playbook.Looking{Known: c.Known}, func(step string, call apimodel.Call) (apimodel.Reply, error) {
		return caller.Call(ctx, step, call)
	})
	if v.err != nil {
		return v
	}
	v.outside = pb.Outside(readings)
	if v.outside || playbook.Passed(v.results) || s.Findings == nil {
		return v
	}
	region := c.Resource.Region
	if pb.Sweep.Per == playbook.PerAccount {
		region = "" // each Region's Security Hub reports what is global
	}
	v.known, v.err = s.Findings.Reports(ctx, pb.Controls, c.Resource, region)
	return v
}

// explain says why a read failed and what to do.
func explain(err error, account string) (problem, hint string) {
	hint = fault.HintOf(err)
	var api *apimodel.APIError
	switch {
	case errors.As(err, &api) && denied(api.Code) && hint == "":
		hint = fmt.Sprintf("let the member role in account %s do it, or exempt it from the policy that denies it", account)
	case errors.As(err, &api) && strings.Contains(api.Code, "OptInRequired"), errors.As(err, &api) && api.Code == "AuthFailure":
		hint = "the Region may not be turned on in account " + account
	}
	return err.Error(), hint
}

func denied(code string) bool {
	return slices.Contains([]string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation"}, code)
}
