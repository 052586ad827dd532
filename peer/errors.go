package peer

import (
	"errors"
	"fmt"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// Why a request has no answer. An *Error wraps one of them; kafkaproto.Code finds the code that a client may be told.
var (
	// ErrUnknownNode: nobody knows the node's address.
	ErrUnknownNode = kafkaproto.ErrBrokerNotAvailable.With("the node's address is not known")
	// ErrRefused: the node's machine answered that nobody listens there. The process is not running.
	ErrRefused = kafkaproto.ErrNetworkException.With("the connection was refused")
	// ErrUnreachable: no connection came about for any other reason.
	ErrUnreachable = kafkaproto.ErrNetworkException.With("no connection came about")
	// ErrBackoff: connecting failed a moment ago, and it is too early to try again. The error wraps that failure too.
	ErrBackoff = kafkaproto.ErrNetworkException.With("connecting has just failed")
	// ErrBusy: as many requests as the limit allows are in flight on the connection.
	ErrBusy = kafkaproto.ErrNetworkException.With("too many requests are in flight")
	// ErrTooLarge: the request is larger than the limit.
	ErrTooLarge = kafkaproto.ErrMessageTooLarge.With("the request is larger than a frame may be")
	// ErrVersion: the two nodes have no version of the request in common.
	ErrVersion = kafkaproto.ErrUnsupportedVersion.With("the node serves no version of the request that is known here")
	// ErrTimeout: no answer came in time. The connection is given up.
	ErrTimeout = kafkaproto.ErrRequestTimedOut.With("no answer in time")
	// ErrLost: the connection broke, or was given up because another request on it was not answered in time.
	ErrLost = kafkaproto.ErrNetworkException.With("the connection was lost")
	// ErrProtocol: what came back is no answer to what was asked. The connection is given up.
	ErrProtocol = kafkaproto.ErrNetworkException.With("the answer is malformed")
	// ErrClosed: the pool has been closed, or the node forgotten.
	ErrClosed = kafkaproto.ErrNetworkException.With("the connections have been closed")
)

// Error is the failure of a request. errors.Is finds one of the package's errors in it, or the context's.
type Error struct {
	Node int32
	// MaybeSent says that the node may have got the request, and so may have carried it out. If it is not set, the node
	// surely has not.
	MaybeSent bool
	// RetryAfter is how long every request to the node will fail with ErrBackoff, 0 if there is no reason to wait.
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string {
	if e.MaybeSent {
		return fmt.Sprintf("node %d: %v (the request may have arrived)", e.Node, e.Err)
	}
	return fmt.Sprintf("node %d: %v", e.Node, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// NotSent says that err is the failure of a request that surely did not reach the other node, so that trying again can't
// do anything twice.
func NotSent(err error) bool {
	var e *Error
	return errors.As(err, &e) && !e.MaybeSent
}

// because joins one of the package's errors with what the network said.
func because(kind, cause error) error {
	if cause == nil || errors.Is(cause, kind) {
		return kind
	}
	return fmt.Errorf("%w: %w", kind, cause)
}
