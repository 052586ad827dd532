package sim

import (
	"bufio"
	"fmt"
	"os"
	"testing"
)

func TestTrace(t *testing.T) {
	if os.Getenv("TRACE") == "" {
		t.Skip()
	}
	var seed uint64
	fmt.Sscan(os.Getenv("SEED"), &seed)
	f, _ := os.Create(os.Getenv("TRACE"))
	w := bufio.NewWriter(f)
	n := 0
	r := Run(Options{Seed: seed, Trace: func(s string) {
		fmt.Fprintln(w, s)
		n++
		if n > 3000000 {
			w.Flush()
			panic("too long")
		}
	}})
	w.Flush()
	t.Log(r.Findings)
}
