// Package kafkaproto turns wire bytes into typed values and back: frames, headers, requests, record batches, fetch
// responses, errors. It never touches a socket or a file and keeps no state but pools of buffers. The broker, the storage
// engine and the command line drive it; batch.go is the file to read first.
//
// Everything here may be handed bytes that someone made up: lengths are checked before they are believed, what is
// allocated follows what really came and not what was claimed, and no input panics.
package kafkaproto
