//go:build !linux

package compat

import (
	"errors"
	"os"
	"syscall"
)

// dieWithParent has no counterpart here; the tests' cleanups end what they started.
func dieWithParent() *syscall.SysProcAttr { return nil }

func mountTmpfs(dir, options string) error { return errors.ErrUnsupported }

func mountExt4(dir, image string, bytes int64) error { return errors.ErrUnsupported }

func unmount(dir string) error { return errors.ErrUnsupported }

func fallocate(*os.File, int64) error { return errors.ErrUnsupported }

func freeBytes(string) (int64, error) { return 0, errors.ErrUnsupported }
