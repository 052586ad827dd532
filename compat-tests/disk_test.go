package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

const kafkaStorageError = 56

// TestFullDisk fills a file system of 1 GiB: producers get KAFKA_STORAGE_ERROR, reads go on, and writing resumes by itself
// when there is room again, be it that something else went or that a topic did.
func TestFullDisk(t *testing.T) {
	notKafka(t)
	disk := smallDisk(t, "tmpfs", 1<<30)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 500<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t)
	b.dir = filepath.Join(disk, "data")
	b.start()
	createTopic(t, b, "filler", 1)
	w := openWire(t, b.addr)

	batch := recordBatch(randomBytes(900_000))
	taken := fillUp(t, w, "filler", batch)
	t.Logf("full after %d batches of 900 kB", taken)
	if taken < 100 {
		t.Errorf("full after %d batches of 900 kB with 500 MB free", taken)
	}
	readAll(t, w, "filler", taken)
	if _, code, err := w.produce("filler", 0, batch); err != nil || code != kafkaStorageError {
		t.Errorf("produce to a full disk: code %d, %v; want KAFKA_STORAGE_ERROR again", code, err)
	}
	b.alive()

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitResumed(t, w, "filler", batch)
	taken = fillUp(t, w, "filler", batch) + taken + 1
	t.Logf("without the ballast full after %d batches", taken)
	createTopicOrNot(t, b, "other")
	if _, err := kadm.NewClient(openClient(t, b)).DeleteTopic(t.Context(), "filler"); err != nil {
		t.Fatalf("delete a topic on a full disk: %v", err)
	}
	createTopic(t, b, "next", 1)
	waitResumed(t, w, "next", batch)
	b.stop()

	b.start() // and the directory is in order
	w = openWire(t, b.addr)
	readAll(t, w, "next", 1)
	b.verify()
}

// createTopicOrNot creates a topic on a full disk: it may work, for the reserve is there for that.
func createTopicOrNot(t *testing.T, b *broker, topic string) {
	t.Helper()
	if _, err := kadm.NewClient(openClient(t, b)).CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Logf("create a topic on a full disk: %v", err)
	}
}

// fillUp produces until KAFKA_STORAGE_ERROR and says how many batches were taken.
func fillUp(t *testing.T, w *wire, topic string, batch []byte) int {
	t.Helper()
	for n := range 4000 {
		_, code, err := w.produce(topic, 0, batch)
		if err != nil {
			t.Fatalf("batch %d: %v", n, err)
		}
		if code == kafkaStorageError {
			return n
		}
		if code != 0 {
			t.Fatalf("batch %d: code %d, want KAFKA_STORAGE_ERROR (%d)", n, code, kafkaStorageError)
		}
	}
	t.Fatal("a small disk took 3.6 GB")
	return 0
}

// readAll fetches every batch below n.
func readAll(t *testing.T, w *wire, topic string, n int) {
	t.Helper()
	for offset := int64(0); offset < int64(n); {
		p, err := w.fetch(topic, 0, offset)
		if err != nil || p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
			t.Fatalf("fetch at %d of %d: code %d, %d bytes, %v", offset, n, p.ErrorCode, len(p.RecordBatches), err)
		}
		offset++ // one record a batch, about one batch an answer
	}
}

// waitResumed produces until the broker takes a batch again.
func waitResumed(t *testing.T, w *wire, topic string, batch []byte) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		_, code, err := w.produce(topic, 0, batch)
		if err == nil && code == 0 {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("there is room, but produce gives code %d, %v", code, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// smallDisk mounts a file system of its own, unmounted with the test: ext4 on a file, or tmpfs in memory. Only root can.
func smallDisk(t *testing.T, kind string, bytes int64) string {
	t.Helper()
	needLinux(t)
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := t.TempDir()
	mount := func() error { return mountTmpfs(dir, fmt.Sprintf("size=%d", bytes)) }
	if kind == "ext4" {
		mount = func() error { return mountExt4(dir, filepath.Join(t.TempDir(), "image"), bytes) }
	}
	if err := mount(); err != nil {
		leaveOut(t, "mount %s: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// takeRoom makes a file that leaves so many bytes of its disk.
func takeRoom(path string, left int64) error {
	free, err := freeBytes(filepath.Dir(path))
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return fallocate(file, free-left)
}

// randomBytes do not compress and are no file of zeroes.
func randomBytes(n int) []byte {
	f, err := os.Open("/dev/urandom")
	if err != nil {
		return make([]byte, n)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.Read(b); err != nil {
		return make([]byte, n)
	}
	return b
}
