package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// DefaultTries is how often a resource that does not comply is read before it
// counts as unverified; the waits double from half a second.
const DefaultTries = 4

// Store is what verification reads and writes.
type Store interface {
	Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error)
	UpdateRemediation(ctx context.Context, r remediation.Remediation, eff store.Effects) error
	Plan(ctx context.Context, hash remediation.Hash) (remediation.Plan, error)
	Changes(ctx context.Context, id remediation.ID) ([]remediation.Change, error)
}

// Playbooks gives playbooks by id.
type Playbooks interface {
	Playbook(id string) (playbook.Playbook, bool)
}

// Caller makes one reading call.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// Gate opens a fresh reading session in the member account.
type Gate interface {
	// Verifier may read as roles too: those that made the changes.
	Verifier(r remediation.Remediation, roles ...string) Caller
}

// Config is what the stage is made of.
type Config struct {
	Store     Store
	Playbooks Playbooks
	Gate      Gate
	Clock     service.Clock
	Logger    *slog.Logger // default: discard
	Tries     int          // default: DefaultTries
	// RereadAfter is how long after planning a check that passed, and that no change
	// touches, is not read again. Default: all are.
	RereadAfter time.Duration
}

// Stage verifies.
type Stage struct{ Config }

// New checks cfg and fills defaults.
func New(cfg Config) (*Stage, error) {
	if cfg.Store == nil || cfg.Playbooks == nil || cfg.Gate == nil || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make verify stage", "store, playbooks, gate and clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Tries <= 0 {
		cfg.Tries = DefaultTries
	}
	return &Stage{cfg}, nil
}

// Handle verifies one remediation. attempts counts the deliveries of the
// message, this one included.
func (s *Stage) Handle(ctx context.Context, payload []byte, attempts int) error {
	var id remediation.ID
	if err := json.Unmarshal(payload, &id); err != nil {
		return fault.Terminal(fault.E(fault.Invalid, "read verify job", err))
	}
	r, err := s.Store.Remediation(ctx, id)
	if err != nil {
		return err
	}
	if r.State != remediation.Verifying {
		return nil // verified before; the message is a repetition
	}
	results, stand, err := s.read(ctx, r)
	switch {
	case fault.IsTerminal(err):
		return s.record(ctx, r, []remediation.CheckResult{{Check: "verification", Detail: err.Error()}}, 0)
	case err != nil:
		return fault.Transient(err, time.Second)
	case !playbook.Passed(results) && attempts < s.Tries && mayStillCome(results):
		wait := 500 * time.Millisecond << (max(attempts, 1) - 1)
		return fault.Transient(fault.Errorf(fault.Unavailable, "verify "+string(id), "not there yet: %s", failing(results)), wait)
	}
	return s.record(ctx, r, results, stand)
}

// mayStillCome reports whether reading again may give another verdict: not where
// all that fails is what nobody can look at.
func mayStillCome(results []remediation.CheckResult) bool {
	return len(results) == 0 || slices.ContainsFunc(results, func(r remediation.CheckResult) bool {
		return !r.Passed && !strings.HasPrefix(r.Detail, unforeseen)
	})
}

// read gives what a fresh look at the resource says, and how many of the results stand
// from planning. A terminal error says that it cannot be looked at, now or later.
func (s *Stage) read(ctx context.Context, r remediation.Remediation) (results []remediation.CheckResult, stand int, err error) {
	switch r.Kind {
	case remediation.KindUndo:
		results, err = s.restored(ctx, r)
	case remediation.KindRun:
		results, err = s.changed(ctx, r)
	default:
		results, stand, err = s.complies(ctx, r)
	}
	return results, stand, err
}

// restored reads every resource that the first remediation changed and compares
// it with the image from before the first change to it.
func (s *Stage) restored(ctx context.Context, r remediation.Remediation) ([]remediation.CheckResult, error) {
	changes, err := s.Store.Changes(ctx, r.UndoOf)
	if err != nil {
		return nil, err
	}
	caller := s.Gate.Verifier(r, rolesOf(changes)...)
	var results []remediation.CheckResult
	seen := map[string]bool{}
	for _, c := range changes {
		spec, ok := apimodel.ImageOf(c.Call.APICall())
		if !ok || c.Before == nil || seen[c.Call.Resource] {
			continue
		}
		seen[c.Call.Resource] = true
		now, err := spec.ImageFrom(spec.Read(func(read apimodel.Call) (apimodel.Reply, error) {
			read.As = c.Call.As
			return caller.Call(ctx, "restored", read)
		}))
		if err != nil {
			return nil, err
		}
		diff := spec.Diff(apimodel.Image{Exists: c.Before.Exists, Data: c.Before.Data}, now)
		detail := "as it was before the fix"
		if len(diff) > 0 {
			detail = diff[0].Path + " differs from before the fix"
		}
		results = append(results, remediation.CheckResult{Check: c.Call.Resource, Passed: len(diff) == 0, Detail: detail})
	}
	return results, nil
}

// record stores the verdict. An undo's verdict is first put on the remediation
// that it undoes, so that a crash between the two is made good by the repeated
// delivery.
func (s *Stage) record(ctx context.Context, r remediation.Remediation, results []remediation.CheckResult, stand int) error {
	passed := playbook.Passed(results)
	to, reason, hint := remediation.Verified, "read back from AWS: "+passing(results, stand), ""
	if r.Kind == remediation.KindRun && len(results) == 1 && results[0].Check == nothingChanged {
		reason = nothingChanged
	}
	if !passed {
		to, reason = remediation.Unverified, "read back from AWS: "+failing(results)
		hint = "look at the resource, then run: parry remediation show " + string(r.ID)
		if r.Kind == remediation.KindRun {
			hint = "look at what it changed: parry remediation show " + string(r.ID)
		}
	}
	if r.Kind == remediation.KindUndo {
		if err := s.recordFirst(ctx, r, passed, reason); err != nil {
			return err
		}
	}
	return s.move(ctx, r, to, reason, hint, s.annotation(r, passed))
}

// recordFirst puts an undo's verdict on the remediation that it undoes.
func (s *Stage) recordFirst(ctx context.Context, undo remediation.Remediation, passed bool, reason string) error {
	first, err := s.Store.Remediation(ctx, undo.UndoOf)
	if err != nil {
		return err
	}
	if first.State != remediation.Undoing || first.UndoneBy != undo.ID {
		return nil // put there before; the message is a repetition
	}
	to := remediation.Undone
	if !passed {
		to = remediation.Unverified
	}
	return s.move(ctx, first, to, "by "+string(undo.ID)+": "+reason, "", nil)
}

// move changes r's state, announces it, and sends note to the finding if there
// is one.
func (s *Stage) move(ctx context.Context, r remediation.Remediation, to remediation.State, reason, hint string, note *finding.Annotation) error {
	r, change := r.Moved(to, reason, hint, s.Clock.Now())
	eff, err := store.Announce(change, "parry/verify", r.UpdatedAt)
	if err != nil {
		return err
	}
	if note != nil {
		if eff, err = eff.Hand(store.TopicAnnotate, string(r.ID)+"-"+string(to), note); err != nil {
			return err
		}
	}
	err = s.Store.UpdateRemediation(ctx, r, eff)
	switch {
	case errors.Is(err, store.ErrConflict):
		return fault.Transient(err, 0) // somebody wrote between; read again
	case err != nil:
		return err
	}
	s.Logger.InfoContext(ctx, "remediation verified", "remediation", r.ID, "state", to, "reason", reason)
	return nil
}

// annotation is what the finding is told, nil when the verdict changes nothing
// for it.
func (s *Stage) annotation(r remediation.Remediation, passed bool) *finding.Annotation {
	by := "parry/remediation/" + string(r.ID)
	switch {
	case r.Finding.IsZero():
		return nil // a document that somebody started answers no finding
	case r.Kind == remediation.KindUndo && passed:
		return &finding.Annotation{
			Finding: r.Finding, Workflow: "NEW", By: by,
			Note: "The remediation " + string(r.UndoOf) + " was undone; the resource is as it was before.",
		}
	case r.Kind == remediation.KindUndo:
		return &finding.Annotation{
			Finding: r.Finding, Workflow: "NEW", By: by,
			Note: "An undo of remediation " + string(r.UndoOf) + " ran, and the resource is not as it was before. Look at it.",
		}
	case passed:
		note := "Remediated and verified."
		if pb, ok := s.Playbooks.Playbook(r.Playbook); ok && pb.Note != "" {
			note = pb.Note
		}
		return &finding.Annotation{Finding: r.Finding, Workflow: "RESOLVED", By: by, Note: note}
	}
	return nil
}

// passing words a verdict of which stand checks were not read again.
func passing(results []remediation.CheckResult, stand int) string {
	switch n := len(results) - stand; {
	case stand > 0 && n == 1:
		return fmt.Sprintf("the check of what was changed passes, and %d that no change touches passed right before", stand)
	case stand > 0:
		return fmt.Sprintf("all %d checks of what was changed pass, and %d that no change touches passed right before", n, stand)
	}
	if len(results) == 1 {
		return "the check passes: " + results[0].Check
	}
	return fmt.Sprintf("all %d checks pass", len(results))
}

func failing(results []remediation.CheckResult) string {
	var out []string
	for _, r := range results {
		if !r.Passed {
			out = append(out, r.Check+": "+r.Detail)
		}
	}
	if len(out) == 0 {
		return "there was nothing to check"
	}
	return strings.Join(out, "; ")
}
