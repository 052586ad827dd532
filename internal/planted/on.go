//go:build plantedbugs

package planted

// Enabled tells whether bugs can be planted in this build.
const Enabled = true

var chosen Bug

// Is says whether a bug is planted.
func Is(b Bug) bool { return chosen == b }

// Choose plants a bug, and takes the one before out. It must not be called while anything runs.
func Choose(b Bug) { chosen = b }
