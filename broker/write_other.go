//go:build !linux

package broker

import (
	"errors"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

func (c *conn) prefetch([]kafkaproto.Chunk) {}

func (c *conn) readCached(env.Span, []byte) (n int, known bool) { return 0, false }

func (c *conn) cached(env.Span) bool { return true }

func (c *conn) socketEmpty() bool { return false }

func (c *conn) cork(bool) {}

func (c *conn) sendsFile(env.Span) bool { return false }

func (c *conn) sendfile(env.Span) error { return errors.ErrUnsupported }
