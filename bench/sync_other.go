//go:build !linux

package bench

import "os"

func datasync(f *os.File) error { return f.Sync() }

// preallocate writes the blocks: there is no call for it that all systems have.
func preallocate(f *os.File, size int64) error {
	buf := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(buf)) {
		if _, err := f.WriteAt(buf, at); err != nil {
			return err
		}
	}
	return f.Sync()
}
