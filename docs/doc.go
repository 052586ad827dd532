// Package docs holds the project's documents and, in its tests, what keeps the ones that list things true: every row of
// compatibility.md against the tests that hold it, and its table of API versions against the one the broker serves from.
// It has no code and is imported by nothing. Read compatibility_test.go first.
package docs
