package normalize

import (
	"encoding/json"

	"github.com/parry-security/parry/internal/finding"
	format "github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/normalize/asff"
	"github.com/parry-security/parry/internal/normalize/ocsf"
)

// Finding reads one finding in the format that it is in: OCSF or ASFF.
type Finding struct {
	// Mend is asff.Normalizer's.
	Mend bool
}

// Normalize reads, validates and completes one finding.
func (n Finding) Normalize(raw json.RawMessage) (finding.Finding, *finding.ImportError) {
	if format.Is(raw) {
		return ocsf.Normalizer{}.Normalize(raw)
	}
	return asff.Normalizer{Mend: n.Mend}.Normalize(raw)
}
