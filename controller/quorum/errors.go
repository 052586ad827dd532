package quorum

import (
	"errors"

	"github.com/streambus/streambus/kafkaproto"
)

var (
	errClosed   = kafkaproto.ErrNotController.With("the metadata quorum is closed on this node")
	errFailed   = kafkaproto.ErrKafkaStorageError.With("the metadata store of this node has failed")
	errFull     = kafkaproto.ErrKafkaStorageError.With("the disk that holds the metadata is full")
	errTooLarge = kafkaproto.ErrPolicyViolation.With("the request is too large to be passed on to the active controller")
	// errUnknown answers commands whose batch may or may not become part of the log.
	errUnknown = kafkaproto.ErrNotController.With("the controller was deposed while it worked on the request")

	// errRetry says that nothing of the command happened and nothing speaks against trying again.
	errRetry = errors.New("quorum: not leading")
)
