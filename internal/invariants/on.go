//go:build race || invariants

package invariants

// Enabled tells whether assertions run in this build.
const Enabled = true
