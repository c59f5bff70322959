package api_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// Attach keeps nothing; it notes who asked for what.
func (v *vault) Attach(_ context.Context, p auth.Principal, document, version, file string, content []byte) (runbook.File, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, "attach "+strings.Join([]string{p.Name, document, version, file, string(content)}, " "))
	return runbook.File{Name: file, SHA256: runbook.Revision(content), Size: int64(len(content))}, v.fail
}

// AutomationExecution gives one execution in dev and one in prod.
func (v *vault) AutomationExecution(_ context.Context, id string) (remediation.Execution, error) {
	account := map[string]string{"x-dev": dev, "x-prod": prod}[id]
	if account == "" {
		return remediation.Execution{}, fault.Errorf(fault.NotFound, "read execution", "none")
	}
	return remediation.Execution{
		ID: id, Document: "Doc", Version: "2", Account: account, Region: "eu-central-1", Status: "Pending", StartedBy: "olga", Remediation: remediation.ID("rem" + id[1:]),
	}, nil
}

func TestAttach(t *testing.T) {
	t.Parallel()
	b := setup(t)
	admin := b.as(t, "admin", auth.All)
	got, err := admin.Attach(t.Context(), "Doc", "2", "helper.py", []byte("\x00 text \xff"))
	want := api.Attached{Name: "helper.py", SHA256: runbook.Revision([]byte("\x00 text \xff")), Size: 8}
	if err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	if diff := cmp.Diff([]string{"attach " + strings.Join([]string{"admin", "Doc", "2", "helper.py", "\x00 text \xff"}, " ")}, b.calls); diff != "" {
		t.Error(diff)
	}
	for _, role := range []string{"operator", "approver", "reader"} {
		if _, err := b.as(t, role, auth.All).Attach(t.Context(), "Doc", "", "helper.py", []byte("x")); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", role, err)
		}
	}
	if _, err := admin.Attach(t.Context(), "Doc", "", "helper.py", make([]byte, api.MaxBody+1)); err == nil {
		t.Error("more than the limit was taken")
	}
	if len(b.calls) != 1 {
		t.Errorf("%v", b.calls[1:])
	}
}

func TestExecution(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reader := b.as(t, "reader", dev)
	got, err := reader.Execution(t.Context(), "x-dev")
	want := api.ExecutionDetail{
		ID: "x-dev", Document: "Doc", Version: "2", Account: dev, Region: "eu-central-1", Status: "Pending", StartedBy: "olga",
		Remediation: "rem-dev", State: remediation.AwaitingApproval, PlanHash: hash("a"),
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, foreign := reader.Execution(t.Context(), "x-prod")
	_, none := reader.Execution(t.Context(), "x-none")
	if !fault.Is(foreign, fault.NotFound) || strings.ReplaceAll(foreign.Error(), "x-prod", "x-none") != none.Error() {
		t.Errorf("%v; %v", foreign, none)
	}
}
