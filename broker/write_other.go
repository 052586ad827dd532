//go:build !linux

package broker

import (
	"errors"

	"github.com/streambus/streambus/internal/env"
)

// sendfileBytes is never reached: without Linux's sendfile, pieces of files are read and written.
const sendfileBytes = 1 << 62

func (c *conn) socketEmpty() bool { return false }

func (c *conn) canSendfile(env.Span) bool { return false }

func (c *conn) sendfile(env.Span) error { return errors.ErrUnsupported }
