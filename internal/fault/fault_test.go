package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

func TestCodeHintAndRetryClassSurviveWrapping(t *testing.T) {
	t.Parallel()
	base := fault.E(fault.Denied, "assume role", io.EOF).WithHint("run: parry doctor")
	err := fmt.Errorf("plan: %w", fault.Transient(fmt.Errorf("read: %w", base), 3*time.Second))
	if got := fault.CodeOf(err); got != fault.Denied {
		t.Errorf("code = %s", got)
	}
	if got := fault.HintOf(err); got != "run: parry doctor" {
		t.Errorf("hint = %q", got)
	}
	if after, ok := fault.IsTransient(err); !ok || after != 3*time.Second {
		t.Errorf("transient = %v, %v", after, ok)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
	if fault.IsTerminal(err) || !fault.IsTerminal(fault.Terminal(err)) {
		t.Error("the outermost retry class does not win")
	}
	if _, ok := fault.IsTransient(fault.Terminal(err)); ok {
		t.Error("terminal outside transient counts as transient")
	}
}

func TestRefusedSurvivesWrapping(t *testing.T) {
	t.Parallel()
	base := fault.Errorf(fault.Denied, "call", "not in the plan").WithHint("plan again")
	err := fmt.Errorf("step: %w", fault.Terminal(fault.Refused(base)))
	if !fault.IsRefused(err) || !fault.IsTerminal(err) || fault.CodeOf(err) != fault.Denied || fault.HintOf(err) != "plan again" || err.Error() != "step: call: not in the plan" {
		t.Errorf("%v", err)
	}
	if fault.IsRefused(base) || fault.IsRefused(nil) || fault.IsRefused(io.EOF) || fault.Refused(nil) != nil {
		t.Error("an error that was not marked is refused")
	}
}

func TestErrorsWithoutACodeAreInternal(t *testing.T) {
	t.Parallel()
	if got := fault.CodeOf(io.EOF); got != fault.Internal {
		t.Errorf("code = %s", got)
	}
	if got := fault.CodeOf(nil); got != "" {
		t.Errorf("code of nil = %q", got)
	}
	if fault.Transient(nil, 0) != nil || fault.Terminal(nil) != nil {
		t.Error("nil became an error")
	}
	if got := fault.CodeOf(fault.Transient(io.EOF, 0)); got != fault.Unavailable {
		t.Errorf("a transient error without a code is %s", got)
	}
}

func TestEveryCodeHasAStatus(t *testing.T) {
	t.Parallel()
	want := map[fault.Code]int{"invalid": 400, "not_found": 404, "conflict": 409, "denied": 403, "exhausted": 429, "unavailable": 503, "internal": 500}
	for code, status := range want {
		if !code.Valid() || code.HTTPStatus() != status {
			t.Errorf("%s: valid %v, status %d", code, code.Valid(), code.HTTPStatus())
		}
	}
	if fault.Code("other").Valid() {
		t.Error("an unknown code is valid")
	}
}
