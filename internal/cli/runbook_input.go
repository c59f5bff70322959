package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// The limits of what a command line gives to a document.
const (
	maxParameterFile = 1 << 20 // bytes
	maxParameters    = 200     // as StartAutomationExecution has it
)

// parameters puts together what --parameters and --param give; the latter wins.
func parameters(list []string, all string) (map[string]any, error) {
	out := map[string]any{}
	if all != "" {
		raw, err := textOrFile(all)
		if err != nil {
			return nil, usage("--parameters: %v", err)
		}
		var v any
		if err := runbook.DecodeJSON(raw, &v); err != nil {
			return nil, usage("--parameters is not JSON: %v", err)
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil, usage("--parameters is not a JSON object, such as {\"BucketName\": \"example\"}")
		}
		out = m
	}
	for _, p := range list {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("--param %q is not NAME=VALUE", p)
		}
		v, err := parameterValue(value)
		if err != nil {
			return nil, usage("--param %s: %v", name, err)
		}
		out[name] = v
	}
	if len(out) > maxParameters {
		return nil, usage("%d parameters are given, the limit is %d", len(out), maxParameters)
	}
	return out, nil
}

// parameterValue takes a JSON list or object as such and anything else as text.
// Only these two: "5" and "true" are text until the document says what they are,
// and a comma may belong to a value.
func parameterValue(text string) (any, error) {
	if name, ok := strings.CutPrefix(text, fileScheme); ok {
		raw, err := readFile(name)
		if err != nil {
			return nil, err
		}
		text = strings.TrimSuffix(string(raw), "\n")
	}
	trimmed := strings.TrimSpace(text)
	if !strings.HasPrefix(trimmed, "[") && !strings.HasPrefix(trimmed, "{") {
		return text, nil
	}
	var v any
	if err := runbook.DecodeJSON([]byte(trimmed), &v); err == nil {
		return v, nil
	}
	return text, nil // a pattern, or a filter of CloudWatch Logs
}

// fileScheme stands before the name of a file, as in the AWS CLI.
const fileScheme = "file://"

func textOrFile(text string) ([]byte, error) {
	if name, ok := strings.CutPrefix(text, fileScheme); ok {
		return readFile(name)
	}
	return []byte(text), nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxParameterFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxParameterFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxParameterFile)
	}
	return raw, nil
}

// targets reads targets in the AWS CLI's two forms: Key=tag:Stage,Values=a,b for
// each --target, or JSON.
func targets(list []string) ([]map[string]any, error) {
	var out []map[string]any
	for _, text := range list {
		if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "[") || strings.HasPrefix(trimmed, "{") {
			more, err := objects(trimmed)
			if err != nil {
				return nil, usage("--target: %v", err)
			}
			out = append(out, more...)
			continue
		}
		head, values, ok := strings.Cut(text, ",Values=")
		key, isKey := strings.CutPrefix(head, "Key=")
		if !ok || !isKey || key == "" || values == "" {
			return nil, usage("--target %q is not Key=KEY,Values=VALUE,..., such as Key=tag:Stage,Values=dev", text)
		}
		items := []any{}
		for v := range strings.SplitSeq(values, ",") {
			items = append(items, v)
		}
		out = append(out, map[string]any{"Key": key, "Values": items})
	}
	return out, nil
}

// waves reads CANARY,GROWTH: the targets of the first wave, and how many times the
// next is as large.
func waves(text string) (*remediation.Waves, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no waves
	}
	first, second, ok := strings.Cut(text, ",")
	canary, err := strconv.Atoi(first)
	growth, err2 := strconv.Atoi(second)
	const most = 10_000
	if !ok || err != nil || err2 != nil || canary < 1 || growth < 1 || canary > most || growth > most {
		return nil, usage("--waves %q is not CANARY,GROWTH with two numbers from 1, such as 1,3", text)
	}
	return &remediation.Waves{Canary: canary, Growth: growth}, nil
}

// locations reads --target-locations: JSON, or file:// and the name of a file.
func locations(text string) ([]map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := textOrFile(text)
	if err != nil {
		return nil, usage("--target-locations: %v", err)
	}
	out, err := objects(string(raw))
	if err != nil {
		return nil, usage("--target-locations: %v", err)
	}
	return out, nil
}

// objects reads one JSON object, or a list of them.
func objects(text string) ([]map[string]any, error) {
	var v any
	if err := runbook.DecodeJSON([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]map[string]any, 0, len(list))
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, errors.New("it is not a JSON object or a list of objects")
		}
		out = append(out, m)
	}
	return out, nil
}

// wireParameters gives parameters as the API of Systems Manager takes them: lists
// of text, with maps as JSON.
func wireParameters(in map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(in))
	for name, v := range in {
		items, isList := v.([]any)
		if !isList {
			items = []any{v}
		}
		texts := make([]any, 0, len(items))
		for _, item := range items {
			text, isText := item.(string)
			if !isText {
				raw, err := json.Marshal(item)
				if err != nil {
					return nil, fmt.Errorf("parameter %s: %w", name, err)
				}
				text = string(raw)
			}
			texts = append(texts, text)
		}
		out[name] = texts
	}
	return out, nil
}

// isFile reports whether what was named is a document's file rather than its name.
func isFile(name string) bool {
	if strings.ContainsAny(name, "/\\") || slices.ContainsFunc([]string{".yaml", ".yml", ".json"}, func(ext string) bool { return strings.HasSuffix(name, ext) }) {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
