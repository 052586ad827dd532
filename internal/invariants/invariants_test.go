package invariants

import "testing"

func TestCheckPanicsOnlyWhenEnabled(t *testing.T) {
	defer func() {
		if got := recover() != nil; got != Enabled {
			t.Fatalf("panicked = %v, Enabled = %v", got, Enabled)
		}
	}()
	Check(true, "never")
	Check(false, "broken %d", 1)
}
