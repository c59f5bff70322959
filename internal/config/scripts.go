package config

import "github.com/parry-security/parry/internal/fault"

// Scripts says how the scripts of runbooks run; see docs/configuration.md.
type Scripts struct {
	// Python is the interpreter, with boto3. Default: python3 on the PATH, else the
	// one of a .venv beside the program.
	Python string `yaml:"python"`
	// AllowUnsandboxed runs scripts where the kernel cannot shut them in.
	AllowUnsandboxed bool `yaml:"allow_unsandboxed"`
	// Memory is how many MiB a script may take. Default 512.
	Memory int `yaml:"memory"`
	// Concurrency is how many scripts run at once. Default 4.
	Concurrency int `yaml:"concurrency"`
}

const (
	leastMemory    = 64
	mostMemory     = 16 << 10
	mostConcurrent = 64
)

func (c *Config) validateScripts() error {
	s := c.Scripts
	if s.Memory != 0 && (s.Memory < leastMemory || s.Memory > mostMemory) {
		return fault.Errorf(fault.Invalid, validate, "scripts.memory is %d MiB, not a number from %d to %d", s.Memory, leastMemory, mostMemory).
			WithHint("leave scripts.memory away for 512 MiB")
	}
	if s.Concurrency < 0 || s.Concurrency > mostConcurrent {
		return fault.Errorf(fault.Invalid, validate, "scripts.concurrency is %d, not a number from 1 to %d", s.Concurrency, mostConcurrent).
			WithHint("leave scripts.concurrency away for 4")
	}
	return nil
}
