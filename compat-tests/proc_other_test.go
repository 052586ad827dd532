//go:build !linux

package compat

import "syscall"

// dieWithParent has no counterpart here; the tests' cleanups end what they started.
func dieWithParent() *syscall.SysProcAttr { return nil }
