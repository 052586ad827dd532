package broker

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// submit gives a command to the active controller and returns its answer, seen by everyone on this node. A request that
// names no time gets request.timeout.ms. The command is not taken back when the client goes away.
func submit[A any](s *Server, c controller.Command, timeoutMillis int32) (A, error) {
	var none A
	timeout := time.Duration(timeoutMillis) * time.Millisecond
	if timeoutMillis <= 0 {
		timeout = s.config.Duration("request.timeout.ms")
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	answer, err := s.quorum.Submit(ctx, c)
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
		return none, kafkaproto.ErrRequestTimedOut.With("the active controller has not answered in time")
	default:
		return none, err
	}
	typed, ok := answer.(A)
	if !ok {
		return none, kafkaproto.ErrUnknownServerError
	}
	return typed, nil
}

// Operations that a principal may do (KIP-430), as bit fields of Kafka's operation codes. Without an authorizer they are
// all that Kafka knows for the kind of resource.
const (
	topicOperations   int32 = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	clusterOperations int32 = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
	notAsked          int32 = math.MinInt32
)

// operations is the bit field, or the number that says that nobody asked.
func operations(asked bool, all int32) int32 {
	if asked {
		return all
	}
	return notAsked
}
