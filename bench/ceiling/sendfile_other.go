//go:build !linux

package main

import (
	"io"
	"net"

	"github.com/streambus/streambus/internal/env"
)

func sendfile(nc net.Conn, span env.Span) error {
	_, err := io.Copy(nc, io.NewSectionReader(span.File, span.Pos, int64(span.Len)))
	return err
}
