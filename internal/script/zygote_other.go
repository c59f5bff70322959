//go:build !linux || !(amd64 || arm64)

package script

import (
	"context"
	"errors"
	"log/slog"
	"net"
)

// settings is what a zygote is made of.
type settings struct {
	level  Level
	report Report
	limits Limits
	pool   int
	boto3  bool
	groups *groups
	logger *slog.Logger
}

var errRefused = errors.New("scripts are refused on this system")

type zygote struct{}

// groups would be the control groups of scripts.
type groups struct{}

func openGroups(Limits) (*groups, error) { return nil, errRefused }

func (*groups) close()           {}
func (*groups) sentence() string { return "" }

// child is one execution's process.
type child struct{ conn net.Conn }

// MaybeChild is false: there is no sandbox to help into on this system.
func MaybeChild() (int, bool) { return 0, false }

// startZygote refuses: the sandbox is made of what Linux on amd64 and arm64 has.
func startZygote(context.Context, settings) (*zygote, error) { return nil, errRefused }

func (*zygote) dead() bool                                          { return true }
func (*zygote) stop()                                               {}
func (*zygote) take(context.Context) (*child, error)                { return nil, errRefused }
func (*child) guard(context.Context, Limits) (stop func())          { return func() {} }
func (*child) kill()                                                {}
func (*child) end()                                                 {}
func (*child) fate(context.Context) (limit, text string, err error) { return "", "", errRefused }
