package apimodel_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
)

// validator reads one policy a line and prints those that moto's IAM refuses. moto
// does not know two kinds of ARN that AWS has.
const validator = `
import sys
from moto.iam.policy_validation import IAMPolicyDocumentValidator
n = 0
for line in sys.stdin:
    n += 1
    try:
        IAMPolicyDocumentValidator(line).validate()
    except Exception as e:
        if ":delegation-request/" in line or ":storage-lens/" in line:
            continue
        print(str(e)[:200], line[:300])
print(n)
`

// TestEveryDerivedPolicyIsValid derives a policy for each operation there is,
// with every member filled in, and has moto's IAM read them.
func TestEveryDerivedPolicyIsValid(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it unpacks every model")
	}
	python := python(t)
	c := load(t)
	var lines bytes.Buffer
	n, narrowed := 0, 0
	for _, name := range c.Services() {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			call := apimodel.Call{Service: name, Operation: op.Name, Account: dev, Region: east}
			if op.Input != nil {
				call.Input, _ = filledInput(op.Input, name, 2).(map[string]any)
			}
			list, err := c.Grants(call)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				continue // AWS asks no permission for it
			}
			p := apimodel.Document(list)
			lines.WriteString(p.String() + "\n")
			n++
			if !strings.Contains(p.String(), `"Resource":"*"`) {
				narrowed++
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", validator)
	cmd.Stdin = &lines
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got != strconv.Itoa(n) {
		t.Errorf("moto refuses: %s", got)
	}
	if n < 18100 || narrowed < 6000 {
		t.Errorf("%d policies, %d of them narrowed to a resource", n, narrowed)
	}
	t.Logf("%d policies, %d of them narrowed to a resource", n, narrowed)
}

// filledInput fills every member of a shape.
func filledInput(s *apimodel.Shape, service string, depth int) any {
	switch {
	case depth == 0:
		return nil
	case s.Type == apimodel.Structure:
		out := map[string]any{}
		for _, m := range s.Members {
			v := filledInput(m.Shape, service, depth-1)
			if m.Shape.Type == apimodel.String && strings.HasSuffix(strings.ToLower(m.Name), "arn") {
				v = "arn:aws:" + service + ":us-east-1:111122223333:thing/a"
			}
			if v != nil {
				out[m.Name] = v
			}
		}
		return out
	case s.Type == apimodel.List:
		if v := filledInput(s.Elem.Shape, service, depth-1); v != nil {
			return []any{v}
		}
		return nil
	case s.Type == apimodel.String:
		return "a*?${x}\"b"
	case s.Type == apimodel.Boolean:
		return true
	}
	return nil
}

func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("PARRY_PYTHON"), filepath.Join("..", "..", ".venv", "bin", "python"), "python3"} {
		if name != "" && exec.CommandContext(t.Context(), name, "-c", "import moto.iam.policy_validation").Run() == nil {
			return name
		}
	}
	t.Fatal("no Python with moto: run `make venv`, or set PARRY_PYTHON")
	return ""
}
