package main

import (
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/streambus/streambus/internal/env"
)

// sendfile sends a piece of a file without it coming through this process.
func sendfile(nc net.Conn, span env.Span) error {
	fd, ok := span.File.Fd()
	sc, raw := nc.(syscall.Conn)
	if !ok || !raw {
		return fmt.Errorf("no descriptor for %s", span.File.Name())
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	pos, left := span.Pos, span.Len
	var failed error
	err = rc.Write(func(to uintptr) bool {
		for left > 0 {
			n, err := syscall.Sendfile(int(to), int(fd), &pos, left)
			switch {
			case n > 0:
				left -= n
			case err == syscall.EAGAIN:
				return false
			case err == syscall.EINTR:
			case err == nil:
				failed = io.ErrUnexpectedEOF
				return true
			default:
				failed = err
				return true
			}
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}
