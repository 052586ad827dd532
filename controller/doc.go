// Package controller is the metadata of a cluster as a pure state machine: topics, partitions, brokers, configs, features,
// producer ids. Step turns a command into events and an answer; events, and nothing else, change the Image. The package has
// no goroutine, lock, clock, file or randomness: time, ids and seeds come in with the commands.
//
// Driven by controller/quorum, which replicates the events through raft; brokers read the Image it hands out. It never asks
// whether a cluster has one node or a thousand.
//
// Read image.go for what is known, commands.go for what can be asked, events.go for what can happen, machine.go for how
// one leads to the other. docs/format/events.md has the bytes.
package controller
