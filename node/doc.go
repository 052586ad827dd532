// Package node assembles one StreamBus process from its configuration: data directory, storage engine, metadata quorum,
// partitions, Kafka listeners, admin listener; it keeps the broker's registration alive and takes everything down again in
// order. It is the only package that knows everyone, and it contains no behaviour that a part could have itself.
//
// cmd/streambus drives it (Start, Wait, Stop), and so do tests that want a whole node in their process. Read node.go
// first; settings.go maps configuration to the options of each part.
package node
