package main

import (
	"io/fs"
	"path/filepath"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/internal/env"
)

// watchedFS tells a bar what is read.
type watchedFS struct {
	env.FS
	bar *cli.Progress
}

func (w *watchedFS) Open(name string) (env.File, error) {
	f, err := w.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, w.bar}, nil
}

type watchedFile struct {
	env.File
	bar *cli.Progress
}

func (w *watchedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.File.ReadAt(p, off)
	w.bar.Add(int64(n))
	return n, err
}

// dataSize is what there is to read in the log of a data directory.
func dataSize(dir string) int64 {
	var total int64
	for _, sub := range []string{"wal", "sorted"} {
		// What can't be read counts nothing here; verifying says why.
		_ = filepath.WalkDir(filepath.Join(dir, sub), func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
			return nil
		})
	}
	return total
}
