package log

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
)

// rebuildMarker is a file that asks the next start to make the index anew.
const rebuildMarker = "index.rebuild"

// indexDamage passes an error on. If it says that the index itself is damaged, the next start is told to make it anew:
// the files have all that was in it.
func (e *Engine) indexDamage(err error) error {
	if err == nil || !errors.Is(err, pebble.ErrCorruption) && !errors.Is(err, errIndex) && !errors.Is(err, errState) {
		return err
	}
	if werr := e.fs.WriteFileAtomic(filepath.Join(e.dir, rebuildMarker), []byte(err.Error()+"\n")); werr != nil {
		e.trouble("mark the index as damaged", werr)
	}
	e.trouble("the index is damaged and will be made anew by the next start", err)
	return storage(fmt.Errorf("%w: %w", errIndexLost, err))
}

// dropIndex removes an index that can't be used.
func (e *Engine) dropIndex(reason error) error {
	if e.opts.Events.IndexRebuilt != nil {
		e.opts.Events.IndexRebuilt(reason)
	}
	if err := e.fs.RemoveAll(filepath.Join(e.dir, indexDir)); err != nil {
		return err
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return err
	}
	return ignoreMissing(e.fs.Remove(filepath.Join(e.dir, rebuildMarker)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
