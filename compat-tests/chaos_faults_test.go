package compat

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// fault is something that goes wrong, and is put right again before do returns.
type fault struct {
	name string
	do   func()
}

// faults are those that can be had on this machine.
//
// Bits flip in the file that a start reads. Damage in older files, which a start does not read, is found by streambus verify
// and by the checksums that consumers and followers look at; "old damage" is done only where CHAOS_FAULTS asks for it.
func (r *chaos) faults() []fault {
	all := []fault{
		{"kill -9 of one", func() { r.kill(1) }},
		{"kill -9 of two", func() { r.kill(2) }},
		{"kill -9 of all", func() { r.kill(3) }},
		{"SIGTERM of one", r.restart},
		{"SIGSTOP of one", func() { r.pause(1) }},
		{"SIGSTOP of two", func() { r.pause(2) }},
		{"clock step", r.stepClock},
		{"bit flips", func() { r.flipBits(newestFile) }},
	}
	if strings.Contains(os.Getenv("CHAOS_FAULTS"), "old damage") {
		all = append(all, fault{"old damage", func() { r.flipBits(oldFile) }})
	}
	if r.net == nil {
		return all
	}
	return append(all,
		fault{"node cut off", r.cutOff},
		fault{"pair cut", r.cutPair},
		fault{"one way cut", r.cutOneWay},
		fault{"all cut", r.cutAll},
		fault{"full disk", r.fillDisk},
	)
}

// some are n nodes in random order.
func (r *chaos) some(n int) []int32 {
	var ids []int32
	for _, i := range r.rand.Perm(clusterNodes)[:n] {
		ids = append(ids, int32(i+1))
	}
	r.seen.note("    to %v", ids)
	return ids
}

func (r *chaos) kill(n int) {
	ids := r.some(n)
	for _, id := range ids {
		r.c.node(id).kill9()
		time.Sleep(r.between(0, 300))
	}
	time.Sleep(r.between(0, 4000))
	for _, id := range ids {
		r.c.node(id).exec()
		time.Sleep(r.between(0, 500))
	}
	for _, id := range ids {
		r.c.node(id).waitReady(readyWithin)
	}
}

func (r *chaos) restart() {
	for _, id := range r.some(1) {
		r.c.restart(id)
	}
}

func (r *chaos) pause(n int) {
	ids := r.some(n)
	for _, id := range ids {
		r.c.signal(id, syscall.SIGSTOP)
		time.Sleep(r.between(0, 500))
	}
	time.Sleep(r.between(200, 6000))
	for _, id := range ids {
		r.c.signal(id, syscall.SIGCONT)
		time.Sleep(r.between(0, 500))
	}
}

// stepClock moves a node's wall clock, or all of them apart, for a while or for good.
func (r *chaos) stepClock() {
	for _, id := range r.some(1 + r.rand.IntN(clusterNodes)) {
		by := r.between(1, 600_000)
		if r.rand.IntN(2) == 0 {
			by = -by
		}
		r.seen.note("    node %d by %v", id, by)
		r.setClock(id, by)
	}
	time.Sleep(r.between(1000, 4000))
	if r.rand.IntN(2) == 0 {
		for id := int32(1); id <= clusterNodes; id++ {
			r.setClock(id, 0)
		}
	}
}

func (r *chaos) setClock(id int32, by time.Duration) {
	aside := r.clockFile(id) + ".new"
	if err := os.WriteFile(aside, []byte(by.String()), 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(aside, r.clockFile(id)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *chaos) cutOff() {
	victim := int(r.some(1)[0])
	for place := outside; place <= clusterNodes; place++ {
		if place != victim && (place != outside || r.rand.IntN(2) == 0) {
			r.net.cut(victim, place)
		}
	}
	r.untilHealed()
}

func (r *chaos) cutPair() {
	ids := r.some(2)
	r.net.cut(int(ids[0]), int(ids[1]))
	r.untilHealed()
}

func (r *chaos) cutOneWay() {
	ids := r.some(2)
	r.net.cutOneWay(int(ids[0]), int(ids[1]))
	r.untilHealed()
}

// cutAll leaves nobody a majority.
func (r *chaos) cutAll() {
	for a := 1; a <= clusterNodes; a++ {
		for b := a + 1; b <= clusterNodes; b++ {
			r.net.cut(a, b)
		}
	}
	r.untilHealed()
}

func (r *chaos) untilHealed() {
	time.Sleep(r.between(500, 8000))
	r.net.heal()
}

// fillDisk takes all the room on a node's disk.
func (r *chaos) fillDisk() {
	b := r.c.node(r.some(1)[0])
	home := filepath.Dir(b.dir)
	ballast := filepath.Join(home, "ballast")
	if err := takeRoom(ballast, r.rand.Int64N(2)*(1<<20)); err != nil {
		r.seen.note("    %v", err)
	}
	time.Sleep(r.between(1000, 6000))
	if err := os.Remove(ballast); err != nil {
		r.t.Fatal(err)
	}
}

// flipBits damages WAL files of a node that is down. Started again it either says so and ends, or serves nothing of it; then
// its directory is given up, as one would do with a disk that lies, and the node fetches everything from the others.
func (r *chaos) flipBits(choose func(files []string) string) {
	r.c.healthy(chaosTopic) // what is destroyed must be somewhere else
	id := r.some(1)[0]
	b := r.c.node(id)
	b.kill9()
	flipped := r.flip(b, choose)
	found := r.damageFound(b)
	r.seen.note("    node %d: %s; streambus verify finds damage: %v", id, flipped, found)
	b.exec()
	if refused := r.refuses(b); refused {
		r.seen.note("    node %d refuses to start", id)
	} else {
		r.c.healthy(chaosTopic)
		r.elect()
		r.readAgain() // what it leads is read from it
		b.kill9()
	}
	if err := os.RemoveAll(b.dir); err != nil {
		r.t.Fatal(err)
	}
	b.start()
	r.c.healthy(chaosTopic)
}

// newestFile is what the node wrote to when it died: files are named by numbers.
func newestFile(files []string) string {
	return files[len(files)-1]
}

func oldFile(files []string) string { return files[0] }

// flip changes some bits of one file, and says where.
func (r *chaos) flip(b *broker, choose func(files []string) string) string {
	files, err := filepath.Glob(filepath.Join(b.dir, "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		r.t.Fatalf("no WAL files in %s: %v", b.dir, err)
	}
	path := choose(files)
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	used := len(bytes.TrimRight(text, "\x00"))
	if used == 0 {
		return "an empty file, left alone"
	}
	var where []string
	for range 1 + r.rand.IntN(3) {
		at := r.rand.IntN(used)
		text[at] ^= 1 << r.rand.IntN(8)
		where = append(where, fmt.Sprint(at))
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("bits at %s of %d in %s", strings.Join(where, ", "), used, filepath.Base(path))
}

func (r *chaos) damageFound(b *broker) bool {
	return exec.Command(b.program, "verify", b.dir).Run() != nil
}

// refuses waits until a node serves or has ended.
func (r *chaos) refuses(b *broker) bool {
	for end := time.Now().Add(readyWithin); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-b.exited:
			return true
		default:
		}
		if b.ready() == nil {
			return false
		}
	}
	r.t.Fatal("a damaged node neither serves nor ends")
	return false
}

func (r *chaos) elect() { r.c.elect(chaosTopic, spread...) }

// readAgain reads everything; franz-go checks the checksum of each batch.
func (r *chaos) readAgain() {
	readBack(r.t, r.c, chaosTopic, make([]int64, len(spread)), endOffsetsOf(r.t, r.c, chaosTopic, len(spread)))
}
