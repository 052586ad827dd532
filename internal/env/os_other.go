//go:build !linux

package env

import (
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func writeVAt(f *os.File, bufs [][]byte, off, _ int64) (int, error) { return writeEach(f, bufs, off) }

func syncData(f *os.File) error { return f.Sync() }

func preallocate(*os.File, int64, int64) error { return nil }

func openDisk(name string) (File, error) { return openOS(name, os.O_RDONLY) }

func writeBack(*os.File) error { return nil }

func dropCache(*os.File) error { return nil }

func unpaced(string, string, syscall.RawConn) error { return nil }

func diskUsage(dir string) (free, total uint64, err error) {
	u, err := vfs.Default.GetDiskUsage(dir)
	return u.AvailBytes, u.TotalBytes, err
}

func lockFile(name string) (io.Closer, error) { return vfs.Default.Lock(name) }
