//go:build !crashtest

package app

import (
	"time"

	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/execute"
)

// A build with the tag crashtest holds a process at each of its durable writes, so
// that a test can kill it there. Here, and in every other build, these seams are
// nothing at all; see crash_on.go.

func crashStepper(_ string, x execute.Stepper) execute.Stepper { return x }

func crashEngine(x execute.Engine) execute.Engine { return x }

func crashTimers(x durable.Timers) durable.Timers { return x }

func crashExecutions(x execute.Store) execute.Store { return x }

func crashRuns(x runStore) runStore { return x }

func crashSessions(x sessionStore) sessionStore { return x }

func crashInline() time.Duration { return 0 }
