//go:build !unix

package testenv

import "os/exec"

func separate(*exec.Cmd) {}

func become(*exec.Cmd, uint32, uint32) {}
