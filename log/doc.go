// Package log is the storage engine of one data directory: a write-ahead log that all partitions share, an index of
// where each offset is (in memory for what is not sealed, in Pebble for the rest), and what a partition's log has to know
// beside its batches: producers, leader epochs, aborted transactions. Batches are never unpacked, encoded anew or copied
// on their way in or out.
//
// It never asks who leads, never decides what is committed, opens no socket and reads no configuration: partition drives
// it, node maps configuration to Options. Pebble holds a pure function of the sealed files, so it may be lost.
//
// Read engine.go first, then append.go and wal_writer.go (the way in), read.go (the way out), recover.go (the way back), compact.go
// and clean.go (what becomes of old files).
// The formats on disk stand in docs/format.
package log
