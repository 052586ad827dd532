// Package cli is what the commands of streambus do against a running cluster: make, show and change topics, write and
// read records, look after groups, configurations and partitions, print tables. Each verb is one function that takes a
// context, a Target and an options struct and returns data or an error, so that a test calls it without a command line
// in front.
//
// It speaks only the Kafka protocol (through kgo and kadm), so everything here works on Apache Kafka too. It never
// imports a server package, never parses flags and never ends the process: cmd/streambus binds flags to it and turns
// errors into exit codes.
//
// Read client.go first (how a command reaches a cluster), then produce.go and consume.go, and of the families group_*,
// config_*, topic_* and partition_* what is wanted: partition_selection.go finds what a command line names, and
// group_reset_to.go holds what Kafka means by reset-offsets. format.go is the language of consume's --format, output.go
// the one place where tables, JSON and YAML are written, progress.go tells how far long work is. security.go gets clients
// through TLS and SASL, profile.go keeps addresses and credentials under names. Package doctor below examines what a
// client would meet on its way to a cluster, package debug sends any request there is.
package cli
