package demo

import (
	"os/exec"
	"syscall"
)

// bind makes the child die with this process, however it ends.
func bind(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
