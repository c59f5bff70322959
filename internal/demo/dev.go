package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// canaryFirst lets changes go on. The canary's fixes run, and only when one is verified
// its like in the other account does.
func (s *story) canaryFirst(ctx context.Context) (string, error) {
	killed := ""
	off := func() error {
		_, err := s.parry(ctx, "admin", "stop", "off", "--reason", "sorted")
		return err
	}
	released := s.clock.Now()
	if s.Kill {
		if err := s.killInTheMiddle(ctx, off); err != nil {
			return "", err
		}
		killed = "; the server was killed (SIGKILL) when AWS had made the first change, started again, and went on"
	} else if err := off(); err != nil {
		return "", err
	}
	first, err := s.await(ctx, remediation.KindFix, remediation.Verified, canaryKeys...)
	if err != nil {
		return "", err
	}
	then, err := s.await(ctx, remediation.KindFix, remediation.Verified, followerKeys...)
	if err != nil {
		return "", err
	}
	s.summary.Figures["dev_verified_ms"] = s.clock.Now().Sub(released).Milliseconds()
	for _, k := range followerKeys {
		proof := first[likeOf(k, canaryKeys)]
		changed := s.firstChange(then[k])
		if changed.IsZero() || changed.Before(proof.UpdatedAt) {
			return "", fmt.Errorf("%s was changed at %s, before the canary's %s was verified at %s", k, changed, proof.ID, proof.UpdatedAt)
		}
	}
	if err := s.resolved(ctx, followerKeys[0]); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d fixes in %s, then %d in %s, each verified by reading AWS back; the findings are RESOLVED with a note%s", len(first), canary, len(then), follower, killed), nil
}

// killInTheMiddle lets changes go on, kills the server when AWS has made the first one and
// not answered yet, and starts it again.
func (s *story) killInTheMiddle(ctx context.Context, off func() error) error {
	hold, err := s.env.Wall.Inject(awswall.Fault{Kind: awswall.HoldAfter, Account: s.account(canary), Class: "change", Times: 1})
	if err != nil {
		return err
	}
	defer hold.Release()
	if err := off(); err != nil {
		return err
	}
	select {
	case <-hold.Hit():
	case <-time.After(patience):
		return errors.New("no change came at which to kill the server")
	}
	s.server.kill()
	hold.Release()
	srv, _, err := s.launch(ctx)
	if err != nil {
		return err
	}
	s.server = srv
	return nil
}

// likeOf gives the key among keys that is about the same control as k.
func likeOf(k string, keys []string) string {
	for _, other := range keys {
		if controlOf(other) == controlOf(k) {
			return other
		}
	}
	return ""
}

// firstChange is when the first changing call of a remediation reached AWS, by the wall's
// log.
func (s *story) firstChange(r remediation.Remediation) time.Time {
	for _, e := range s.changes("") {
		if e.Account == r.Account && e.Region == r.Region && sameResource(e, r.Resource) {
			return e.Time
		}
	}
	return time.Time{}
}
