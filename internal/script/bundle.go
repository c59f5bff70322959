package script

import (
	"embed"
	"encoding/json"
)

//go:embed python/*.py
var programs embed.FS

// bundle is what the interpreter reads from descriptor 4 when it starts.
type bundle struct {
	Modules    [][2]string    `json:"modules"`
	Main       string         `json:"main"`
	Namespaces bool           `json:"namespaces"`
	Landlock   *landlockRules `json:"landlock"`
	Seccomp    []byte         `json:"seccomp"`
	PIDs       int            `json:"pid_namespace"` // descriptor
	UIDs       int            `json:"uids"`          // user ids that are mapped
	Own        string         `json:"own"`           // a script's own folder, with namespaces
	Temp       string         `json:"temp"`          // folder of the executions' folders, without namespaces
	Boto3      bool           `json:"boto3"`
	Warm       []string       `json:"warm"`
	Limits     map[string]any `json:"limits"`
}

type landlockRules struct {
	FS    uint64   `json:"fs"`
	Net   uint64   `json:"net"`
	Scope uint64   `json:"scope"`
	Size  int      `json:"size"` // of the attributes that the kernel knows
	Paths []string `json:"paths"`
}

// warm are the services whose models are read before anybody asks: those that
// published runbooks use most.
func warm() []string {
	return []string{
		"ec2", "s3", "iam", "ssm", "sts", "rds", "lambda", "cloudtrail", "kms", "sns", "sqs", "logs", "cloudwatch", "config",
		"securityhub", "autoscaling", "redshift", "cloudformation", "dynamodb", "elbv2", "guardduty", "organizations", "secretsmanager",
	}
}

// interpreterSpace is the address space that the interpreter with boto3 has for
// itself; Limits.Memory comes on top.
const interpreterSpace = 512 << 20

func (b bundle) encode(l Limits, names ...string) ([]byte, error) {
	for _, name := range names {
		text, err := programs.ReadFile("python/" + name + ".py")
		if err != nil {
			return nil, err
		}
		b.Modules = append(b.Modules, [2]string{name, string(text)})
	}
	b.Main = names[len(names)-1]
	b.Limits = map[string]any{
		"address": l.Memory + interpreterSpace, "temp": l.Temp, "output": l.Output, "payload": l.Payload, "request": l.Request, "reply": l.Reply,
		"threads": l.Threads, "files": l.Files, // Two threads that compute in native code use more than the wall's time.
		"cpu": 2*int(l.Timeout.Seconds()) + 5,
	}
	return json.Marshal(b)
}

// processorSeconds is more than the wall's time: two threads that compute in native
// code use it twice.
func processorSeconds(l Limits) int { return 2*int(l.Timeout.Seconds()) + 5 }

func bootProgram() string {
	text, err := programs.ReadFile("python/boot.py")
	if err != nil {
		return "" // embedded: it is there
	}
	return string(text)
}
