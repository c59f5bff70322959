package durable

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// seal gives plain as text that DBOS may keep. aad binds it to its place, so
// that a row cannot be moved to another execution or step.
func (e *Engine) seal(plain []byte, aad string) (string, error) {
	sealed, err := e.cfg.Sealer.Seal(plain, []byte(aad))
	if err != nil {
		return "", fault.E(fault.Internal, "seal", err)
	}
	return base64.RawStdEncoding.EncodeToString(sealed), nil
}

func (e *Engine) open(text, aad string) ([]byte, error) {
	sealed, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fault.E(fault.Internal, "open sealed text", err)
	}
	plain, err := e.cfg.Sealer.Open(sealed, []byte(aad))
	if err != nil {
		return nil, fault.E(fault.Internal, "open sealed text", err).WithHint("check that the data key is the one with which this database was written")
	}
	return plain, nil
}

// outcome is what a step's checkpoint holds.
type outcome struct {
	Out []byte   `json:"out,omitempty"`
	Err *errText `json:"err,omitempty"`
}

// errText is an error that can be written down. Its class survives, its type
// does not.
type errText struct {
	Code      fault.Code    `json:"code"`
	Message   string        `json:"message"`
	Hint      string        `json:"hint,omitempty"`
	Terminal  bool          `json:"terminal,omitempty"`
	Transient bool          `json:"transient,omitempty"`
	After     time.Duration `json:"after,omitempty"`
	Refused   bool          `json:"refused,omitempty"`
}

func (e *Engine) sealOutcome(out []byte, err error, aad string) (string, error) {
	o := outcome{Out: out}
	if err != nil {
		t := &errText{Code: fault.CodeOf(err), Message: err.Error(), Hint: fault.HintOf(err), Terminal: fault.IsTerminal(err), Refused: fault.IsRefused(err)}
		t.After, t.Transient = fault.IsTransient(err)
		o = outcome{Err: t}
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return "", fault.E(fault.Internal, "write a checkpoint", err)
	}
	return e.seal(raw, aad)
}

func (e *Engine) openOutcome(text, aad string) (out []byte, stepErr, err error) {
	raw, err := e.open(text, aad)
	if err != nil {
		return nil, nil, err
	}
	var o outcome
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, nil, fault.E(fault.Internal, "read a checkpoint", err)
	}
	if o.Err == nil {
		return o.Out, nil, nil
	}
	return nil, o.Err.error(), nil
}

func (t *errText) error() error {
	var err error = fault.E(t.Code, "", errors.New(t.Message)).WithHint("%s", t.Hint)
	if t.Refused {
		err = fault.Refused(err)
	}
	switch {
	case t.Terminal:
		return fault.Terminal(err)
	case t.Transient:
		return fault.Transient(err, t.After)
	}
	return err
}
