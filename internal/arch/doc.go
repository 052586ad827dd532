// Package arch holds the tests that keep the structure of StreamBus what docs/ARCHITECTURE.md says: who may import whom,
// which packages are pure, that every package says what it is, that the API table and its files agree, which modules may be
// used and where, and that files and functions stay readable. It has no code of its own; `go test` drives it. Read
// layers_test.go first.
package arch
