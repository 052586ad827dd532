package broker

import "time"

// Events tells an observer (telemetry) what happens. Every func may be nil, is called from many goroutines and must not
// block.
type Events struct {
	ConnectionOpened func(listener string)
	ConnectionClosed func(listener string)
	// ConnectionRefused: reason is the name of the limit that was reached.
	ConnectionRefused func(listener, reason string)
	// ConnectionFailed: a bad frame, a request that can't be decoded, a bug in a handler.
	ConnectionFailed func(listener string, err error)
	// Request is called when an answer has been written (or given up).
	Request func(RequestEvent)
	// PartitionError counts errors inside Produce and Fetch answers by Kafka's code.
	PartitionError func(apiKey int16, code int16)
	// Produced and Fetched count record bytes per request.
	Produced func(bytes int)
	Fetched  func(bytes int)
}

// RequestEvent is one answered request.
type RequestEvent struct {
	Listener string
	Key      int16
	Version  int16
	BytesIn  int           // the frame without its length
	BytesOut int           // 0 if there was no answer
	Handling time.Duration // from the frame's last byte to the answer being ready
	Total    time.Duration // to the answer being written
}
