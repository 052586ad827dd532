package log

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/streambus/streambus/internal/env"
)

func dumped(t *testing.T, fs env.FS, from int64, most int) *WALDump {
	t.Helper()
	d, err := DumpWAL(fs, filepath.Join(testDir, walDir, fileName(1)), from, most)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func controls(d *WALDump) (kinds []string) {
	for _, f := range d.Frames {
		for _, c := range f.Control {
			kinds = append(kinds, c.Kind)
		}
	}
	return kinds
}

func TestADumpTellsWhatLiesInAFile(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 3))
	mustAppend(t, l, spec{n: 2, text: "one", leader: 7})
	mustAppend(t, l, spec{n: 3, text: "two", leader: 7})
	closeEngine(t, e)
	d := dumped(t, w.mem, 0, 0)
	var batches []WALBatch
	for _, f := range d.Frames {
		for _, b := range f.Batches {
			if f.Partition != topic(1, 3).String() || f.Epoch != 7 {
				t.Errorf("%+v", f)
			}
			batches = append(batches, b)
		}
	}
	if len(batches) != 2 || batches[0].First != 0 || batches[0].Last != 1 || batches[1].First != 2 || batches[1].Last != 4 || batches[1].Records != 3 {
		t.Errorf("%+v", batches)
	}
	kinds := strings.Join(controls(d), " ")
	if !strings.HasPrefix(kinds, "end ") || !strings.Contains(kinds, "create") || len(d.Damage) > 0 || d.Header != "" {
		t.Errorf("%s, %+v, %q", kinds, d.Damage, d.Header)
	}
	last := d.Frames[len(d.Frames)-1]
	if d.End != last.Position+last.Length {
		t.Errorf("it ends at %d, behind %+v", d.End, last)
	}
	// A part of it, from a position within the first frame.
	second := d.Frames[1]
	part := dumped(t, w.mem, d.Frames[0].Position+1, 1)
	if len(part.Frames) != 1 || part.Frames[0].Position != second.Position {
		t.Errorf("%+v, not %+v", part.Frames, second)
	}
}

func TestADumpNamesDamageAndGoesOn(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	for _, text := range []string{"one", "two", "three"} {
		mustAppend(t, l, spec{n: 1, text: text})
	}
	closeEngine(t, e)
	whole := dumped(t, w.mem, 0, 0)
	var victim WALFrame
	for _, f := range whole.Frames {
		if len(f.Batches) == 1 && f.Batches[0].First == 1 {
			victim = f
		}
	}
	path := filepath.Join(testDir, walDir, fileName(1))
	data, err := w.mem.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[victim.Batches[0].Position+30] ^= 1
	if err := w.mem.WriteFileAtomic(path, data); err != nil {
		t.Fatal(err)
	}
	d := dumped(t, w.mem, 0, 0)
	if len(d.Damage) != 1 || d.Damage[0].Position != victim.Position || d.Damage[0].Length != victim.Length {
		t.Errorf("%+v, not %+v", d.Damage, victim)
	}
	if len(d.Frames) != len(whole.Frames)-1 || d.End != whole.End {
		t.Errorf("%d frames of %d, end %d of %d", len(d.Frames), len(whole.Frames), d.End, whole.End)
	}
	// A file that was copied away alone tells the directory's id itself.
	copied := env.NewMem()
	if err := copied.MkdirAll(filepath.Join(testDir, walDir)); err != nil {
		t.Fatal(err)
	}
	if err := copied.WriteFileAtomic(path, data); err != nil {
		t.Fatal(err)
	}
	if alone := dumped(t, copied, 0, 0); len(alone.Frames) != len(d.Frames) || alone.Directory != d.Directory {
		t.Errorf("alone it has %d frames", len(alone.Frames))
	}
}

func TestADumpOfTheIndexHasEveryKind(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	mustAppend(t, mustLog(t, e, topic(1, 0)), spec{n: 2, text: "one"})
	if _, err := DumpIndex(w.mem, testDir, 0); err == nil {
		t.Error("the index of a directory in use was read")
	}
	closeEngine(t, e)
	keys, err := DumpIndex(w.mem, testDir, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]IndexKey{}
	for _, k := range keys {
		found[k.Kind] = k
	}
	for _, kind := range []string{"entry", "run", "meta", "state", "file", "engine"} {
		if found[kind].Value == "" {
			t.Errorf("no %s in %+v", kind, keys)
		}
	}
	if k := found["entry"]; k.Partition != topic(1, 0).String() || k.Last == nil || *k.Last != 1 {
		t.Errorf("%+v", k)
	}
	if few, err := DumpIndex(w.mem, testDir, 2); err != nil || len(few) != 2 {
		t.Errorf("%d keys, %v", len(few), err)
	}
}
