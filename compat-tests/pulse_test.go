package compat

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// pulse is a process that does nothing but write a little, sync it and sleep: how long it was held up in its round says how
// long the machine itself, busy with something else, let nobody work.
type pulse struct {
	mu    sync.Mutex
	beats []time.Time // ends of its rounds that came late, in pairs: the one before, and the late one
}

const pulseEvery = 5 * time.Millisecond

func startPulse(t testing.TB) *pulse {
	t.Helper()
	file, err := os.Create(filepath.Join(memoryDir(t), "pulse"))
	if err != nil {
		t.Fatal(err)
	}
	p := &pulse{}
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		last := time.Now()
		for {
			select {
			case <-over:
				return
			case <-time.After(pulseEvery):
			}
			file.WriteAt(make([]byte, 512), 0)
			file.Sync()
			now := time.Now()
			if now.Sub(last) > 5*pulseEvery {
				p.mu.Lock()
				p.beats = append(p.beats, last, now)
				p.mu.Unlock()
			}
			last = now
		}
	})
	t.Cleanup(func() {
		close(over)
		running.Wait()
		file.Close()
	})
	return p
}

// held is the longest time that the machine let it wait between two moments.
func (p *pulse) held(from, to time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest := time.Duration(0)
	for i := 0; i < len(p.beats); i += 2 {
		if p.beats[i+1].After(from) && p.beats[i].Before(to) {
			longest = max(longest, p.beats[i+1].Sub(p.beats[i]))
		}
	}
	return longest
}
