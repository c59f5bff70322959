package remediation

import (
	"encoding/json"

	"github.com/parry-security/parry/internal/apimodel"
)

// Shared counts the changes of a plan that another makes too: the same operation with the
// same input, in the same account and Region. A change whose input is known only after
// something ran is none of them.
func Shared(p, other Plan) int {
	there := map[string]int{}
	for _, c := range other.Calls {
		if key, ok := changeKey(c); ok {
			there[key]++
		}
	}
	n := 0
	for _, c := range p.Calls {
		if key, ok := changeKey(c); ok && there[key] > 0 {
			there[key]--
			n++
		}
	}
	return n
}

func changeKey(c PlannedCall) (string, bool) {
	if c.Class == apimodel.Read || len(c.FromOutputs) > 0 {
		return "", false
	}
	input, err := json.Marshal(c.Input) // with its keys in order
	if err != nil {
		return "", false
	}
	return c.Service + "\x00" + c.Operation + "\x00" + c.Account + "\x00" + c.Region + "\x00" + string(input), true
}
