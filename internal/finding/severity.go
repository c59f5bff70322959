package finding

import (
	"encoding/json"
	"strconv"
)

// Label is a severity label.
type Label string

// The severity labels, least first.
const (
	Informational Label = "INFORMATIONAL"
	Low           Label = "LOW"
	Medium        Label = "MEDIUM"
	High          Label = "HIGH"
	Critical      Label = "CRITICAL"
)

// Labels lists the severity labels, least first.
func Labels() []Label { return []Label{Informational, Low, Medium, High, Critical} }

// Valid reports whether l is one of the five labels.
func (l Label) Valid() bool {
	_, ok := l.floor()
	return ok
}

// Normalized gives the number that AWS writes beside the label: the lowest of
// the label's band.
func (l Label) Normalized() int {
	n, _ := l.floor()
	return n
}

func (l Label) floor() (int, bool) {
	switch l {
	case Informational:
		return 0, true
	case Low:
		return 1, true
	case Medium:
		return 40, true
	case High:
		return 70, true
	case Critical:
		return 90, true
	}
	return 0, false
}

// LabelOf gives the label of a normalized severity of 0..100.
func LabelOf(normalized int) Label {
	switch {
	case normalized >= 90:
		return Critical
	case normalized >= 70:
		return High
	case normalized >= 40:
		return Medium
	case normalized >= 1:
		return Low
	default:
		return Informational
	}
}

// normalizeSeverity completes a severity object: the label decides where it is
// present, else the number gives the label. Other members are kept. It gives
// nil when neither says anything.
func normalizeSeverity(sev map[string]any) map[string]any {
	label := Label(member(sev, "Label"))
	if !label.Valid() {
		n, ok := asInt(sev["Normalized"])
		if !ok {
			return nil
		}
		label = LabelOf(n)
	}
	out := make(map[string]any, len(sev)+2)
	for k, v := range sev {
		out[k] = v
	}
	out["Label"] = string(label)
	// A number inside the label's band is more exact than its floor: keep it.
	if n, ok := asInt(sev["Normalized"]); !ok || LabelOf(n) != label {
		out["Normalized"] = json.Number(strconv.Itoa(label.Normalized()))
	}
	return out
}

// asInt reads an integer of a decoded document; 40.0 is one, 40.5 is not.
func asInt(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok || len(n) > 24 {
		return 0, false
	}
	if i, err := n.Int64(); err == nil {
		return int(i), true
	}
	f, err := n.Float64()
	if err != nil || f != float64(int64(f)) {
		return 0, false
	}
	return int(f), true
}
