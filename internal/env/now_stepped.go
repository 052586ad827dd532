//go:build clockstep

package env

import (
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

// ClockOffsetFile names the environment variable with the path of a file that holds how far the wall clock of this process
// stands from the machine's, such as -90s. Only test builds (tag clockstep) have this: a process gets steps of its clock
// without anybody else on the machine noticing.
const ClockOffsetFile = "STREAMBUS_CLOCK_OFFSET_FILE"

// offsetEvery is how often the file is read.
const offsetEvery = 50 * time.Millisecond

var offset atomic.Int64

func init() {
	path := os.Getenv(ClockOffsetFile)
	if path == "" {
		return
	}
	readOffset(path)
	go func() {
		for range time.Tick(offsetEvery) {
			readOffset(path)
		}
	}()
}

// readOffset keeps the last offset where the file can't be read or is being written.
func readOffset(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if d, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
		offset.Store(int64(d))
	}
}

func now() time.Time { return step(time.Now(), time.Duration(offset.Load())) }

// timeLayout is time.Time. The package gives no way to move the wall clock's reading alone, which is what a step does.
type timeLayout struct {
	wall uint64
	ext  int64 // the monotonic clock's reading, where wall says that there is one
	loc  *time.Location
}

const hasMonotonic = 1 << 63

func step(t time.Time, by time.Duration) time.Time {
	if by == 0 {
		return t
	}
	moved := t.Add(by)
	was, is := (*timeLayout)(unsafe.Pointer(&t)), (*timeLayout)(unsafe.Pointer(&moved))
	if was.wall&hasMonotonic != 0 && is.wall&hasMonotonic != 0 {
		is.ext = was.ext
	}
	return moved
}
