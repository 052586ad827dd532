// Package compat tests the built binary as a black box: stock clients (drivers/clients.json names them), Apache Kafka's Java
// tools and raw frames against `streambus serve`, with real input, kill -9, a full disk and bad bytes. It never imports
// the product, and it is a Go module of its own so that the clients stay out of the product's go.mod. `make test` and
// `make compat` drive it; README.md tells how to run one test.
//
// Read broker_test.go first: it starts, kills and stops the process under test. drivers_test.go does so for clients.
package compat
