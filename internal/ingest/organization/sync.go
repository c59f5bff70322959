package organization

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

const (
	// fewMissing are accounts that a reading may lack without being doubted; beyond
	// that it may lack a fifth.
	fewMissing = 10
	// tagsPerRound is how many accounts' tags are read in a round, those first that were
	// read the longest ago: Organizations takes ten calls a second. All accounts whose
	// tags were never read are read whatever their number.
	tagsPerRound = 1000
	// tagBatch is how many are stored together.
	tagBatch = 50
	// rankDelay is how long after a change findings are ranked anew: by then every node
	// knows of it.
	rankDelay = 3 * refreshEvery
)

// sync reads the organization and applies what it holds. It gives the accounts that
// came, or whose state changed.
func (f *Follower) sync(ctx context.Context, s *Status, accept bool) (map[string]bool, error) {
	r, err := f.read(ctx)
	if err != nil {
		return nil, err
	}
	known, err := f.cfg.Store.Members(ctx)
	if err != nil {
		return nil, err
	}
	missing, err := f.missing(ctx, s, r, known, accept)
	if err != nil {
		return nil, err
	}
	now := f.cfg.Clock.Now().UTC().Truncate(time.Microsecond)
	if err := f.hold(ctx); err != nil {
		return nil, err
	}
	u := org.Follow(known, r.accounts, r.joined, missing, now)
	s.Organization, s.Management = r.id, r.management
	f.cfg.Live.SetOrganization(r.id)
	if err := f.apply(ctx, s, u, nil); err != nil {
		return nil, err
	}
	if err := f.reload(ctx); err != nil {
		return nil, err
	}
	s.SyncedAt, s.Calls, s.Held, s.HeldAt = now, r.calls, nil, time.Time{}
	f.log.InfoContext(ctx, "organization read", "accounts", len(r.accounts), "changes", len(u.Changes), "calls", r.calls)
	changed := map[string]bool{}
	for _, m := range u.Members {
		if m.Rev == 1 {
			changed[m.ID] = true
		}
	}
	for _, c := range u.Changes {
		if c.Kind == org.HasState || c.Kind == org.HasJoined {
			changed[c.Account] = true
		}
	}
	return changed, nil
}

// apply stores what changed with its events. Rank are accounts whose findings are
// ranked anew whatever changed.
func (f *Follower) apply(ctx context.Context, s *Status, u org.Update, rank map[string]bool) error {
	eff, err := f.announce(s, u, rank)
	if err != nil {
		return err
	}
	if len(u.Members) == 0 {
		return nil
	}
	return f.cfg.Store.FollowOrganization(ctx, u, eff)
}

// missing gives the accounts that are no longer in the organization. Too many are not
// believed: a reading with other rights, or a mistake of AWS, must not end what Parry
// does for most of it.
func (f *Follower) missing(ctx context.Context, s *Status, r *reading, known []org.Member, accept bool) ([]string, error) {
	vanished := org.Vanished(known, r.accounts)
	there := len(slices.DeleteFunc(slices.Clone(known), func(m org.Member) bool { return m.State == org.Left }))
	if len(vanished) > fewMissing && len(vanished)*5 > there && !accept {
		if len(s.Held) == 0 {
			s.HeldAt = f.cfg.Clock.Now()
		}
		s.Held = vanished
		f.log.ErrorContext(ctx, "organization not taken over: too many accounts are missing", "missing", len(vanished), "of", there, "first", vanished[0],
			"next", "parry org sync --accept-removals")
		return nil, fault.Errorf(fault.Conflict, "follow the organization", "%d of %d accounts are missing, such as %s: nothing was taken over", len(vanished), there, strings.Join(vanished[:3], ", ")).
			WithHint("if they have left, run: parry org sync --accept-removals")
	}
	return f.confirm(ctx, r, vanished)
}

// readTags reads the tags of accounts: at most tagsPerRound, and all that were never
// read. What comes in between goes first; the rest is read in the next round.
func (f *Follower) readTags(ctx context.Context) error {
	var s Status
	if err := f.cfg.Store.SourceState(ctx, stateName, &s); err != nil {
		return err
	}
	members, err := f.cfg.Store.Members(ctx)
	if err != nil {
		return err
	}
	touched := f.events.tagged()
	members = slices.DeleteFunc(members, func(m org.Member) bool { return m.State == org.Left })
	slices.SortStableFunc(members, func(a, b org.Member) int {
		if touched[a.ID] != touched[b.ID] {
			if touched[a.ID] {
				return -1
			}
			return 1
		}
		return a.TagsAt.Compare(b.TagsAt)
	})
	for n := 0; n < len(members); n += tagBatch {
		batch := members[n:min(n+tagBatch, len(members))]
		if n >= tagsPerRound && !batch[0].TagsAt.IsZero() || f.interrupted() {
			break
		}
		if err := f.hold(ctx); err != nil {
			return err
		}
		var u org.Update
		rank := map[string]bool{}
		for _, m := range batch {
			tags, err := f.tagsOf(ctx, m.ID)
			if err != nil {
				return err
			}
			rank[m.ID] = f.cfg.Ranks && m.TagsAt.IsZero() && len(tags) > 0
			next, changes := org.Tagged(m, tags, f.cfg.Clock.Now().UTC().Truncate(time.Microsecond))
			u.Members, u.Changes = append(u.Members, next), append(u.Changes, changes...)
		}
		if err := f.apply(ctx, &s, u, rank); err != nil {
			return err
		}
		if n%tagsPerRound == 0 {
			if err := f.reload(ctx); err != nil {
				return err
			}
		}
	}
	return f.reload(ctx)
}

// interrupted reports whether something was asked for, or has happened, meanwhile.
func (f *Follower) interrupted() bool {
	return f.asked.wanted() || f.events.pending()
}
