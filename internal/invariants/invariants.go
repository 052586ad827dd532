// Package invariants holds costly assertions: on under the race detector and the build tag "invariants", free elsewhere.
// It never handles bad input; what it catches is a bug of ours, so it panics. Every package may use it; on.go and off.go
// hold the switch.
package invariants

import "fmt"

// Check panics with the message if the condition does not hold and assertions are on. Guard calls whose arguments are
// costly with Enabled, a constant, so that the compiler drops them.
func Check(holds bool, format string, args ...any) {
	if Enabled && !holds {
		panic("invariant broken: " + fmt.Sprintf(format, args...))
	}
}
