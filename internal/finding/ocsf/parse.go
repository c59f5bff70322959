package ocsf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// The limits of a document; its size is that of a finding, finding.MaxBytes.
const (
	// maxDepth leaves room for the finding that keeps the document.
	maxDepth = finding.MaxDepth - 4
	// maxResources is ASFF's: a finding is found by every resource that it names.
	maxResources = 32
)

// Is reports whether a document is OCSF rather than ASFF: it names its class.
func Is(raw []byte) bool {
	if !bytes.Contains(raw, []byte(`"class_uid"`)) {
		return false
	}
	var head struct {
		Class   json.RawMessage `json:"class_uid"`
		Version json.RawMessage `json:"SchemaVersion"`
	}
	return json.Unmarshal(raw, &head) == nil && head.Class != nil && head.Version == nil
}

// Parse reads one document of OCSF and checks its limits, version and class. A
// member that is there twice is refused, since readers differ about which counts.
func Parse(raw []byte) (map[string]any, error) {
	const op = "read OCSF"
	o, err := finding.Decode(raw)
	if err != nil {
		return nil, err
	}
	if depth(o) > maxDepth {
		return nil, fault.Errorf(fault.Invalid, op, "it is nested more than %d levels", maxDepth)
	}
	if err := unique(raw); err != nil {
		return nil, fault.E(fault.Invalid, op, err)
	}
	class, ok := integer(o, "class_uid")
	if !ok || className(class) == "" {
		return nil, fault.Errorf(fault.Invalid, op, "class_uid should be 2002, 2003, 2004, 2006 or 2007").
			WithHint("send findings only; events of other classes are not kept")
	}
	if v := text(o, "metadata.version"); !supported(v) {
		return nil, fault.Errorf(fault.Invalid, op, "metadata.version should be 1.1 to 1.5, it is %q", cut(v, 32))
	}
	if n := len(objects(o, "resources")); n > maxResources {
		return nil, fault.Errorf(fault.Invalid, op, "resources holds %d, more than the limit of %d", n, maxResources).
			WithHint("split the finding by resource")
	}
	return o, nil
}

// supported reports whether Parry knows the version: "1.4.0", "1.5.0-dev".
func supported(version string) bool {
	for _, minor := range []string{"1.1", "1.2", "1.3", "1.4", "1.5"} {
		if rest, ok := strings.CutPrefix(version, minor); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case object:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	default:
		return 0
	}
	return deepest + 1
}

// unique looks for members that are there twice. It reads tokens, so that it
// costs no more than the document has.
func unique(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	// One set for each object that is open, nil for each list.
	var open []map[string]bool
	name := false // a name comes next
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			name = len(open) > 0 && open[len(open)-1] != nil
			continue
		case string:
			if name {
				seen := open[len(open)-1]
				if seen[t] {
					return fmt.Errorf("the member %q is there twice", cut(t, 64))
				}
				seen[t], name = true, false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}
