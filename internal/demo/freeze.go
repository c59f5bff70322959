package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// frozen: with the stop switch on everything is planned by live reads. The canary's fixes
// are approved and queued, dev's others wait for the canary, prod's for people, the good
// twins' claims are not confirmed. Nothing is changed.
func (s *story) frozen(ctx context.Context) (string, error) {
	if _, err := s.await(ctx, remediation.KindFix, remediation.Queued, canaryKeys...); err != nil {
		return "", err
	}
	waiting, err := s.await(ctx, remediation.KindFix, remediation.AwaitingApproval, slices.Concat(followerKeys, prodKeys)...)
	if err != nil {
		return "", err
	}
	for _, k := range followerKeys {
		if why := waiting[k].Reason; !strings.Contains(why, "in the canary first ("+s.account(canary)+")") {
			return "", fmt.Errorf("%s waits because %s", k, why)
		}
	}
	twins, err := s.twins(ctx)
	if err != nil {
		return "", err
	}
	if n := s.changes(""); len(n) > 0 {
		return "", fmt.Errorf("%s was called while the stop switch was on", n[0].Operation)
	}
	out, err := s.parry(ctx, "alice", "approval", "list")
	if err != nil {
		return "", err
	}
	s.show("parry approval list", without(out, "REMEDIATION", "EXPIRES", "PLAN"))
	return fmt.Sprintf("%d queued in the canary account, %d wait for its result, %d for people; of %d good twins nothing is planned: a live read found no violation; AWS saw reads only",
		len(canaryKeys), len(followerKeys), len(prodKeys), twins), nil
}

// twins waits until every finding about a good twin for which a plan was asked has been
// found wrong, and says how many there are.
func (s *story) twins(ctx context.Context) (int, error) {
	var keys []string
	list, err := s.listed(ctx)
	if err != nil {
		return 0, err
	}
	for k, r := range s.resources {
		urgent := list[k].Severity == "CRITICAL" || list[k].Severity == "HIGH"
		if r.Good && (slices.Contains(units["dev"], r.Member) || urgent) {
			keys = append(keys, k)
		}
	}
	all, err := s.await(ctx, remediation.KindFix, remediation.Cancelled, keys...)
	if err != nil {
		return 0, err
	}
	for k, r := range all {
		if !strings.Contains(r.Reason, "no violation") {
			return 0, fmt.Errorf("%s was cancelled because %s", k, r.Reason)
		}
	}
	return len(keys), nil
}

// changes are the changing calls of Parry that reached moto, in one member or in all.
func (s *story) changes(member string) []awswall.Entry {
	var out []awswall.Entry
	for _, e := range s.env.Wall.Log() {
		if e.Seq > s.worldSeq && e.Class == "change" && strings.HasPrefix(e.Session, "parry-") && (member == "" || e.Account == s.account(member)) && e.Service != "sts" {
			out = append(out, e)
		}
	}
	return out
}
