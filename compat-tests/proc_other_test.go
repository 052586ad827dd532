//go:build !linux

package compat

import (
	"errors"
	"syscall"
)

// dieWithParent has no counterpart here; the tests' cleanups end what they started.
func dieWithParent() *syscall.SysProcAttr { return nil }

func mountTmpfs(dir, options string) error { return errors.ErrUnsupported }

func unmount(dir string) error { return errors.ErrUnsupported }
