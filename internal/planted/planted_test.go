package planted

import "testing"

func TestABugIsPlantedOnlyWhereTheBuildAllowsIt(t *testing.T) {
	for _, b := range All() {
		Choose(b)
		if Is(b) != Enabled || Is(None) {
			t.Errorf("%v: planted %v, none %v, in a build that allows it: %v", b, Is(b), Is(None), Enabled)
		}
		if b.String() == "" {
			t.Errorf("bug %d has no name", int(b))
		}
	}
	Choose(None)
}
