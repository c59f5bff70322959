package ocsf

import (
	"encoding/json"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/normalize/asff"
)

// Normalizer turns raw OCSF into findings. The zero value is ready to use.
type Normalizer struct{}

// Normalize reads, validates and completes one finding; the document stays with
// it.
func (Normalizer) Normalize(raw json.RawMessage) (finding.Finding, *finding.ImportError) {
	o, err := ocsf.Parse(raw)
	if err != nil {
		return finding.Finding{}, refuse("", err)
	}
	f, err := ocsf.From(o)
	if err != nil {
		return finding.Finding{}, refuse("", err)
	}
	f, refused := asff.Normalizer{Mend: true}.Normalize(f.JSON())
	if refused != nil {
		return finding.Finding{}, refused
	}
	return ocsf.Keep(f, o), nil
}

func refuse(id string, err error) *finding.ImportError {
	message := "Finding does not adhere to OCSF. " + err.Error() + "."
	if hint := fault.HintOf(err); hint != "" {
		message += " Next: " + hint + "."
	}
	return finding.Refuse(id, finding.CodeInvalidInput, message)
}
