package api_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/sweep"
)

// Sweep finds one failing resource in every account's first Region. In Region "break-off-1"
// it breaks off.
func (v *vault) Sweep(_ context.Context, r sweep.Request, tell func(sweep.Place) error) error {
	for _, a := range r.Accounts {
		p := sweep.Place{Account: a.ID, Region: r.Regions[0], Checked: 2, Failing: []sweep.Resource{
			{ARN: "arn:one", Checks: []remediation.CheckResult{{Check: "open", Detail: "it is"}}, Findings: []sweep.Finding{{Key: "k", Workflow: "NEW", Compliance: "FAILED"}}},
			{ARN: "arn:two", Findings: []sweep.Finding{{Key: "k2", Workflow: "RESOLVED", Compliance: "PASSED"}}},
		}}
		if err := tell(p); err != nil {
			return err
		}
		if r.Regions[0] == "break-off-1" {
			return fault.Errorf(fault.Internal, "sweep", "broken")
		}
	}
	return tell(sweep.Place{Account: "999988887777", Region: r.Regions[0], Problem: "denied", Unread: []sweep.Unread{{ARN: "arn:three"}}})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	b := setup(t)
	operator := b.as(t, "operator", dev)
	var places []string
	end, err := operator.Sweep(t.Context(), api.SweepRequest{Control: "S3.8", Accounts: []string{dev}, Regions: []string{"eu-west-1", "eu-west-1"}}, func(line api.SweepLine) {
		if line.Begin != nil && (line.Begin.Playbook != "S3.8" || line.Begin.Accounts != 1 || len(line.Begin.Regions) != 1) {
			t.Errorf("begin is %+v", line.Begin)
		}
		if line.Place != nil {
			places = append(places, line.Place.Account)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(api.SweepEnd{Places: 2, Unreachable: 1, Checked: 2, Failing: 2, Unreported: 1, Unread: 1}, end); diff != "" {
		t.Errorf("end (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{dev, "999988887777"}, places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.audited) != 1 || b.audited[0].Action != "sweep.started" || b.audited[0].Actor != "operator" {
		t.Errorf("audited: %+v", b.audited)
	}
}

func TestASweepThatBreaksOffIsNoResult(t *testing.T) {
	t.Parallel()
	_, err := setup(t).as(t, "operator", dev).Sweep(t.Context(), api.SweepRequest{Control: "S3.8", Accounts: []string{dev}, Regions: []string{"break-off-1"}}, func(api.SweepLine) {})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "not whole") {
		t.Errorf("err is %v", err)
	}
}

func TestSweepRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		who  string
		req  api.SweepRequest
		code fault.Code
	}{
		"a reader":                {"reader", api.SweepRequest{Control: "S3.8", Accounts: []string{dev}}, fault.Denied},
		"an unknown control":      {"operator", api.SweepRequest{Control: "S3.99", Accounts: []string{dev}}, fault.NotFound},
		"an account out of reach": {"operator", api.SweepRequest{Control: "S3.8", Accounts: []string{prod}, Regions: []string{"eu-west-1"}}, fault.NotFound},
		"one that is unknown":     {"operator", api.SweepRequest{Control: "S3.8", Accounts: []string{"123412341234"}, Regions: []string{"eu-west-1"}}, fault.NotFound},
		"accounts and all":        {"operator", api.SweepRequest{Control: "S3.8", Accounts: []string{dev}, Organization: true}, fault.Invalid},
		"neither":                 {"operator", api.SweepRequest{Control: "S3.8"}, fault.Invalid},
		"a crafted Region":        {"operator", api.SweepRequest{Control: "S3.8", Accounts: []string{dev}, Regions: []string{"evil.example.com/"}}, fault.Invalid},
		"no Region":               {"operator", api.SweepRequest{Control: "S3.8", Accounts: []string{dev}}, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.as(t, c.who, dev).Sweep(t.Context(), c.req, func(api.SweepLine) {})
			if !fault.Is(err, c.code) {
				t.Errorf("err is %v (%s), want %s", err, fault.CodeOf(err), c.code)
			}
		})
	}
}
