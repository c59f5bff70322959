package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/script"
)

// scriptFacts looks into the Python scripts of documents, all in one process, and
// gives the facts of each document by step. places are the documents' own files,
// "" where there is none: attachments are looked for beside them. Where Python is
// missing or the kernel gives no sandbox there are no facts, which standard error
// says.
func (s *shared) scriptFacts(ctx context.Context, docs []*runbook.Document, places []string) []map[string]runbook.ScriptFacts {
	sources := map[string]string{}
	steps := make([][]string, len(docs))
	for i, doc := range docs {
		if doc == nil {
			continue
		}
		found := doc.Scripts()
		if len(doc.Files) > 0 && places[i] != "" && places[i] != "-" {
			maps.Copy(found, doc.AttachedScripts(s.filesBeside(doc, places[i])))
		}
		for step, text := range found {
			sources[fmt.Sprintf("%d/%s", i, step)] = text
			steps[i] = append(steps[i], step)
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
	for i, list := range steps {
		out[i] = map[string]runbook.ScriptFacts{}
		for _, step := range list {
			if f, ok := facts[fmt.Sprintf("%d/%s", i, step)]; ok {
				out[i][step] = app.AdaptFacts(f)
			}
		}
	}
	return out
}

// filesBeside gives the attachments of a document that lie beside it. One that is
// not there, or not the one that the document means, is left out.
func (s *shared) filesBeside(doc *runbook.Document, place string) map[string][]byte {
	read, err := attachmentReader(filepath.Dir(place))
	if err != nil {
		return nil
	}
	out := map[string][]byte{}
	for _, f := range doc.Files {
		content, err := read(f.Name)
		if err != nil {
			continue
		}
		if err := runbook.CheckAttachment(f, content); err != nil {
			fmt.Fprintf(s.Err, "%s\n", printable(err.Error()))
			continue
		}
		out[f.Name] = content
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
