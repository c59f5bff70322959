package cli

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/script"
)

// scriptFacts looks into the inline Python scripts of documents, all in one
// process, and gives the facts of each document by step. Where Python is missing
// or the kernel gives no sandbox there are none, which standard error says.
func (s *shared) scriptFacts(ctx context.Context, docs []*runbook.Document) []map[string]runbook.ScriptFacts {
	sources := map[string]string{}
	for i, doc := range docs {
		if doc == nil {
			continue
		}
		for step, text := range doc.Scripts() {
			sources[fmt.Sprintf("%d/%s", i, step)] = text
		}
	}
	out := make([]map[string]runbook.ScriptFacts, len(docs))
	if len(sources) == 0 {
		return out
	}
	facts, err := s.analyze(ctx, sources)
	if err != nil {
		fmt.Fprintf(s.Err, "scripts are not looked into: %s; run: parry doctor\n", printable(err.Error()))
		return out
	}
	for i, doc := range docs {
		if doc == nil {
			continue
		}
		out[i] = map[string]runbook.ScriptFacts{}
		for step := range doc.Scripts() {
			if f, ok := facts[fmt.Sprintf("%d/%s", i, step)]; ok {
				out[i][step] = app.AdaptFacts(f)
			}
		}
	}
	return out
}

// analyze uses the Python that scripts run on.
func (s *shared) analyze(ctx context.Context, sources map[string]string) (map[string]script.Facts, error) {
	cfg, err := config.Optional(s.config)
	if err != nil {
		return nil, err
	}
	python, err := script.Find(ctx, cfg.Scripts.Python)
	if err != nil {
		return nil, err
	}
	return script.Analyze(ctx, python.Python, sources)
}
