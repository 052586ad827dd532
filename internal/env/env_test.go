package env

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestVectoredWritesLandSideBySide(t *testing.T) {
	for name, fs := range map[string]FS{"os": NewOSFS(), "mem": NewMem()} {
		dir := t.TempDir()
		if err := fs.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		var bufs [][]byte
		var want []byte
		for i := range 3000 { // more than one system call takes
			b := bytes.Repeat([]byte{byte(i)}, i%5)
			bufs, want = append(bufs, b), append(want, b...)
		}
		if err := f.Preallocate(0, 1<<20); err != nil {
			t.Fatal(err)
		}
		n, err := f.WriteVAt(bufs, 7)
		if err != nil || n != len(want) {
			t.Fatalf("%s: wrote %d: %v", name, n, err)
		}
		if err := errors.Join(f.WriteBack(), f.SyncData(), f.DropCache(), fs.SyncDir(dir)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 7); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: read back something else: %v", name, err)
		}
		if size, _ := f.Size(); size != int64(7+len(want)) {
			t.Fatalf("%s: size %d: reserving must not change it", name, size)
		}
		disk, err := fs.OpenDisk(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []int{0, 1, 4089, 4090, len(want) - 1} { // across, at and within blocks
			got := make([]byte, len(want)-from)
			if n, err := disk.ReadAt(got, int64(7+from)); n != len(got) || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, want[from:]) {
				t.Errorf("%s: from %d the disk has something else: %d bytes, %v", name, from, n, err)
			}
		}
		if n, err := disk.ReadAt(make([]byte, 9), int64(7+len(want)-4)); n != 4 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes at the end, %v", name, n, err)
		}
		if n, err := disk.ReadAt(make([]byte, 9), 1<<20); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes behind the end, %v", name, n, err)
		}
		_ = disk.Close()
		if _, err := fs.Create(filepath.Join(dir, "a")); !errors.Is(err, os.ErrExist) {
			t.Fatalf("%s: created twice: %v", name, err)
		}
		_ = f.Close()
	}
}

func TestALockHoldsUntilItIsClosed(t *testing.T) {
	for name, fs := range map[string]FS{"os": NewOSFS(), "mem": NewMem()} {
		dir := t.TempDir()
		_ = fs.MkdirAll(dir)
		l, err := fs.Lock(filepath.Join(dir, "LOCK"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fs.Lock(filepath.Join(dir, "LOCK")); !errors.Is(err, syscall.EAGAIN) {
			t.Fatalf("%s: second lock: %v", name, err)
		}
		_ = l.Close()
		if l, err = fs.Lock(filepath.Join(dir, "LOCK")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = l.Close()
	}
}

func TestACrashKeepsWhatWasSynced(t *testing.T) {
	m := NewMem()
	f, _ := m.Create("/a")
	_, _ = f.WriteVAt([][]byte{[]byte("kept")}, 0)
	_ = f.SyncData()
	_ = m.SyncDir("/")
	_, _ = f.WriteVAt([][]byte{[]byte("lost")}, 4)
	data, err := m.CrashClone(vfs.CrashCloneCfg{}).ReadFile("/a")
	if err != nil || string(data) != "kept" {
		t.Fatalf("%q %v", data, err)
	}
}

func TestInjectedFaultsReachTheCaller(t *testing.T) {
	fs := NewFaultFS(NewMem())
	f, _ := fs.Create("/a")
	fs.Set(FaultHooks{
		WriteVAt:  func(_ string, _ int64, n int) (int, error) { return n - 1, syscall.ENOSPC },
		SyncData:  func(string) error { return syscall.EIO },
		FreeBytes: func() uint64 { return 5 },
	})
	if n, err := f.WriteVAt([][]byte{{1, 2}, {3}}, 0); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%d %v", n, err)
	}
	if err := f.SyncData(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if free, _, _ := fs.Usage("/"); free != 5 {
		t.Fatal(free)
	}
}

func TestTheFakeClockFiresInOrder(t *testing.T) {
	c := NewFakeClock(time.Unix(100, 0))
	late, early := c.NewTimer(2*time.Second), c.NewTimer(time.Second)
	stopped := c.NewTimer(time.Second)
	if !stopped.Stop() {
		t.Fatal("was pending")
	}
	c.Advance(1500 * time.Millisecond)
	if at := <-early.C(); !at.Equal(time.Unix(101, 0)) {
		t.Fatal(at)
	}
	select {
	case <-late.C():
		t.Fatal("too early")
	case <-stopped.C():
		t.Fatal("was stopped")
	default:
	}
	c.Advance(time.Second)
	<-late.C()
}
