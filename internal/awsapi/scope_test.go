package awsapi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
)

// TestTheResourceOfAChangeIsFixed: it may be one that the plan makes, and then
// only that one.
func TestTheResourceOfAChangeIsFixed(t *testing.T) {
	t.Parallel()
	makeKey := stepCall{"Key", apimodel.Call{Service: "kms", Operation: "CreateKey", Account: member, Region: region}}
	rotate := func(id any) stepCall {
		return stepCall{"Rotate", apimodel.Call{Service: "kms", Operation: "EnableKeyRotation", Account: member, Region: region, Input: map[string]any{"KeyId": id}}}
	}
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	reply, err := p.Call(t.Context(), makeKey.step, makeKey.call)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := reply.Output["KeyMetadata"].(map[string]any)
	next := rotate(key["KeyId"])
	if _, err := p.Call(t.Context(), next.step, next.call); err != nil {
		t.Fatal(err)
	}
	plan := w.planOf(p.Calls())
	apply := func(id string, answer map[string]any, restart bool) error {
		w := newWorld(t)
		w.aws.keys = answer
		s := w.apply(plan)
		if _, err := s.Call(t.Context(), makeKey.step, makeKey.call); err != nil {
			return err
		}
		if restart {
			s = w.apply(plan)
		}
		c := rotate(id)
		_, err := s.Call(t.Context(), c.step, c.call)
		return err
	}
	answer := map[string]any{"KeyMetadata": map[string]any{"KeyId": "1234-abcd"}}
	for _, restart := range []bool{false, true} {
		if err := apply("1234-abcd", answer, restart); err != nil {
			t.Errorf("the key that was made, restart %v: %v", restart, err)
		}
		if err := apply("9999-other", answer, restart); !errors.Is(err, awsapi.ErrNotInPlan) || !strings.Contains(err.Error(), "KeyId") {
			t.Errorf("another key, restart %v: %v", restart, err)
		}
		if err := apply("1234-abcd", map[string]any{}, restart); !errors.Is(err, awsapi.ErrNotInPlan) {
			t.Errorf("an answer without the name, restart %v: %v", restart, err)
		}
	}

	t.Run("what a read of secrets answers names no resource", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.gate.Planning(as, awsapi.PlanOptions{})
		secret, err := p.Call(t.Context(), "Secret", apimodel.Call{Service: "secretsmanager", Operation: "GetSecretValue", Account: member, Region: region, Input: map[string]any{"SecretId": "db"}})
		if err != nil {
			t.Fatal(err)
		}
		c := rotate(secret.Output["SecretString"])
		if _, err := p.Call(t.Context(), c.step, c.call); !isPlanUnknown(err) || !strings.Contains(p.Open(), "step Secret, which makes nothing") {
			t.Errorf("got %v", err)
		}
		if len(p.Calls()) != 1 || p.Calls()[0].Class != apimodel.SensitiveRead {
			t.Errorf("planned %+v", p.Calls())
		}
	})
	if plan.Calls[1].Class != apimodel.Change || !plan.Calls[1].EffectUnknown || len(plan.Calls[1].FromOutputs) != 1 {
		t.Errorf("planned %+v", plan.Calls[1])
	}
}
