package log

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/env"
)

// found is what the scrubber told of.
type found struct {
	log  tp
	from offset
}

// scrubbed lets the engine's scrubber pass over everything once.
func scrubbed(t *testing.T, w *world, e *Engine) (damage []found, files int) {
	t.Helper()
	told, passed := make(chan found, 100), make(chan int, 1)
	e.Scrub(ScrubOptions{
		BytesPerSecond: 1 << 20, Interval: time.Hour, Damaged: func(id tp, from offset) { told <- found{id, from} },
		Passed: func(files int, _ int64) { passed <- files },
	})
	for end := time.After(10 * time.Second); ; {
		select {
		case files = <-passed:
			close(told)
			for f := range told {
				damage = append(damage, f)
			}
			return damage, files
		case <-end:
			t.Fatal("the pass does not end")
		case <-time.After(time.Millisecond):
			w.clock.Advance(100 * time.Millisecond) // it keeps its pace
		}
	}
}

// flip changes a byte of what is written of a text, wherever that lies.
func flip(t *testing.T, m *env.MemFS, text string, at int) {
	t.Helper()
	flipIn(t, m, "", text, at)
}

// flipIn does so in files whose names end so.
func flipIn(t *testing.T, m *env.MemFS, suffix, text string, at int) {
	t.Helper()
	names, err := m.List(filepath.Join(testDir, walDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(testDir, walDir, name)
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		data, err := m.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.Index(data, []byte(text))
		if i < 0 {
			continue
		}
		f, err := m.OpenReadWrite(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteVAt([][]byte{{data[i+at] ^ 1}}, int64(i+at)); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("%q is nowhere", text)
}

// sealedWorld has two logs in several sealed files; the value of each record of the first is size bytes that begin with its text.
func sealedWorld(t *testing.T, events Events) (*world, *Engine, *Log) {
	t.Helper()
	w := newWorld(t)
	e := w.open(func(o *Options) { o.Events = events })
	l, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	for _, text := range []string{"one", "two", "three", "four", "five", "six"} {
		mustAppend(t, l, spec{n: 1, size: 5000, text: text})
		mustAppend(t, other, spec{n: 1, size: 3000, text: "beside"})
	}
	flush(t, e)
	eventually(t, "seals", func() bool { return e.Stats().Seals >= 2 })
	return w, e, l
}

func TestAScrubFindsWhatNobodyReads(t *testing.T) {
	w, e, _ := sealedWorld(t, Events{})
	if damage, files := scrubbed(t, w, e); len(damage) > 0 || files < 2 {
		t.Errorf("intact: %v in %d files", damage, files)
	}
	w, e, l := sealedWorld(t, Events{})
	flip(t, w.mem, "two", 100)
	damage, _ := scrubbed(t, w, e)
	if len(damage) != 1 || damage[0] != (found{topic(1, 0), 1}) {
		t.Errorf("found %v", damage)
	}
	if hole, ok := l.FirstHole(); !ok || hole != 1 {
		t.Errorf("the log does not know: %d, %v", hole, ok)
	}
}

// A damaged frame header keeps nobody from reading the records, but the index could not be made anew: it is told, and nothing is
// given up for it.
func TestAScrubTellsOfADamagedHeader(t *testing.T) {
	var told []*CorruptionError
	w, e, l := sealedWorld(t, Events{Corruption: func(c *CorruptionError) { told = append(told, c) }})
	d := dumped(t, w.mem, 0, 0)
	var at int64
	for _, f := range d.Frames {
		if len(f.Batches) > 0 && f.Partition == l.id.String() {
			at = f.Position
		}
	}
	f, err := w.mem.OpenReadWrite(filepath.Join(testDir, walDir, fileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteVAt([][]byte{{0xff}}, at+crcOffset); err != nil {
		t.Fatal(err)
	}
	damage, _ := scrubbed(t, w, e)
	if len(damage) > 0 || len(told) != 1 || told[0].Position != at {
		t.Errorf("given up: %v, told: %v", damage, told)
	}
	if _, ok := l.FirstHole(); ok {
		t.Error("the log has a hole")
	}
}

// What was cut off, or deleted, is nobody's any more.
func TestAScrubIgnoresWhatIsDead(t *testing.T) {
	var told []*CorruptionError
	w, e, l := sealedWorld(t, Events{Corruption: func(c *CorruptionError) { told = append(told, c) }})
	flip(t, w.mem, "two", 100)
	if err := l.Truncate(1); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, spec{n: 1, size: 5000, text: "instead"})
	if damage, _ := scrubbed(t, w, e); len(damage) > 0 || len(told) > 0 {
		t.Errorf("found %v, told %v", damage, told)
	}
}
