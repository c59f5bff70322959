// Command parry is Parry: the server, and the command line that talks to it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules have time zones, also where the machine has no zone database

	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/internal/script"
)

// version is set by the build.
var version = "dev"

func main() {
	if code, helper := script.MaybeChild(); helper {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Program{Version: version, In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}
