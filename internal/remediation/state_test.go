package remediation_test

import (
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// legal is the table of docs/states/remediation.md, written a second time.
func legal() map[remediation.State]string {
	return map[remediation.State]string{
		"planned":           "awaiting_approval queued failed cancelled superseded",
		"awaiting_approval": "queued rejected expired cancelled superseded",
		"queued":            "running cancelled failed superseded",
		"running":           "verifying failed cancelled superseded",
		"verifying":         "verified unverified",
		"verified":          "undoing regressed",
		"unverified":        "verified undoing",
		"failed":            "undoing",
		"cancelled":         "undoing",
		"superseded":        "undoing",
		"undoing":           "undone verified unverified failed cancelled superseded regressed",
		"regressed":         "undoing",
	}
}

func TestEveryPairOfStatesIsLegalOrRefused(t *testing.T) {
	t.Parallel()
	for _, from := range remediation.States() {
		want := map[remediation.State]bool{}
		for _, s := range splitStates(legal()[from]) {
			want[s] = true
		}
		for _, to := range remediation.States() {
			if got := from.Can(to); got != want[to] {
				t.Errorf("%s -> %s: Can = %v, want %v", from, to, got, want[to])
			}
			err := from.Check(to)
			if want[to] != (err == nil) {
				t.Errorf("%s -> %s: Check = %v", from, to, err)
			}
			if err != nil && !fault.Is(err, fault.Conflict) {
				t.Errorf("%s -> %s: code = %s, want conflict", from, to, fault.CodeOf(err))
			}
		}
	}
}

func TestEveryPairOfApprovalStatesIsLegalOrRefused(t *testing.T) {
	t.Parallel()
	want := map[[2]remediation.ApprovalState]bool{
		{"pending", "approved"}: true, {"pending", "rejected"}: true, {"pending", "expired"}: true,
		{"pending", "superseded"}: true, {"approved", "superseded"}: true,
	}
	for _, from := range remediation.ApprovalStates() {
		for _, to := range remediation.ApprovalStates() {
			if got := from.Can(to); got != want[[2]remediation.ApprovalState{from, to}] {
				t.Errorf("%s -> %s: Can = %v", from, to, got)
			}
		}
	}
}

func splitStates(s string) []remediation.State {
	var out []remediation.State
	word := ""
	for _, r := range s + " " {
		if r == ' ' {
			if word != "" {
				out = append(out, remediation.State(word))
			}
			word = ""
			continue
		}
		word += string(r)
	}
	return out
}
