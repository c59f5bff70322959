package cli

import (
	"context"

	"github.com/parry-security/parry/internal/runbook"
)

// scriptFacts looks into the inline Python scripts of a document.
func (s *shared) scriptFacts(_ context.Context, _ *runbook.Document) (map[string]runbook.ScriptFacts, error) {
	return nil, nil
}
