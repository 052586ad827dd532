//go:build !plantedbugs

package planted

// Enabled tells whether bugs can be planted in this build.
const Enabled = false

// Is says whether a bug is planted.
func Is(Bug) bool { return false }

// Choose does nothing in this build.
func Choose(Bug) {}
