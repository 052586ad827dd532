// Package doctor finds out why a client can't work with a cluster, and says it in words: it resolves and connects to each
// bootstrap address, recognises what answers there (a broker, TLS, SASL, HTTP, a proxy with nobody behind it), and then
// follows every address that the brokers advertise as a client would, from where it runs.
//
// It speaks only the Kafka protocol, one request at a time over a connection of its own, because a real client hides
// exactly what is to be seen here: which connection failed, at which step, and what came instead of an answer. It never
// writes to a cluster, never logs in, and never needs one that is healthy. The command `streambus doctor` drives it.
//
// What was seen (seen.go) is apart from what it means: probe*.go look and fill in plain values, judge*.go turn those into
// findings and touch no network. Read seen.go first, then run.go.
package doctor
