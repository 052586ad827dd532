// Package kafkaproto turns wire bytes into typed values and back: frames, headers, record batches, errors. It never
// touches a socket and keeps no state. The broker and the storage engine drive it; batch.go is the file to read first.
package kafkaproto
