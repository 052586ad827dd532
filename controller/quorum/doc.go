// Package quorum replicates the controller's events by hashicorp/raft and hands out the metadata image. It owns the raft
// directory of a node (log and votes in one Pebble store, snapshots beside it) and the node's cluster listener. It decides
// nothing about metadata: package controller does, driven from here by the node that leads. It knows no broker, no
// partition and no Kafka request.
//
// A single node is a quorum of one and takes the same way as five do.
//
// node opens it, brokers Submit commands and Watch the image. Read quorum.go first, then driver.go (how a leader decides in
// batches), fsm.go (how a committed batch becomes an image) and store.go (what is on disk).
package quorum
