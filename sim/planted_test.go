//go:build plantedbugs

package sim

import (
	"fmt"
	"testing"

	"github.com/streambus/streambus/internal/planted"
)

// mostSeedsPerBug is within how many seeds each planted bug is to be found.
const mostSeedsPerBug = 2000

// Whoever says that no bug was found has to show that bugs are found.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, b := range planted.All() {
		t.Run(b.String(), func(t *testing.T) {
			planted.Choose(b)
			defer planted.Choose(planted.None)
			for i := range uint64(mostSeedsPerBug) {
				r := Run(Options{Seed: 100_000 + i})
				collect()
				if len(r.Findings) > 0 {
					fmt.Printf("%-34s found by seed %d, the %d. that was tried: %s\n", b, r.Seed, i+1, r.Findings[0])
					return
				}
			}
			t.Errorf("%v is not found by %d seeds", b, mostSeedsPerBug)
		})
	}
}
