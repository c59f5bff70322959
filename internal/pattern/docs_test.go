package pattern_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/pattern"
)

// TestPatternsInDocumentsMatch holds each example of docs/rules-and-patterns.md to the
// verdicts that stand beside it.
func TestPatternsInDocumentsMatch(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "rules-and-patterns.md"))
	if err != nil {
		t.Fatal(err)
	}
	patterns, verdicts := 0, 0
	for block := range strings.SplitSeq(string(raw), "```yaml\n") {
		if !strings.HasPrefix(block, "pattern:") {
			continue
		}
		block, _, _ = strings.Cut(block, "```")
		var example struct {
			Pattern map[string]any
			Matches []map[string]any
			Refuses []map[string]any
		}
		if err := yaml.Unmarshal([]byte(block), &example); err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		p, err := pattern.Parse(encode(t, example.Pattern))
		if err != nil {
			t.Fatalf("%v in\n%s", err, block)
		}
		patterns++
		for want, events := range map[bool][]map[string]any{true: example.Matches, false: example.Refuses} {
			if len(events) == 0 {
				t.Errorf("no event for the verdict %v in\n%s", want, block)
			}
			for _, event := range events {
				verdicts++
				if got, err := p.Match(encode(t, event)); got != want || err != nil {
					t.Errorf("%s: %v, %v, not %v; pattern\n%s", encode(t, event), got, err, want, block)
				}
			}
		}
	}
	if patterns < 5 || verdicts < 15 {
		t.Errorf("only %d patterns with %d verdicts", patterns, verdicts)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
