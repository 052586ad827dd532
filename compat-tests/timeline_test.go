package compat

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// timeline is what each node said of a topic, whenever that changed, for the words beside a bad figure.
type timeline struct {
	c     *cluster
	topic string

	mu    sync.Mutex
	lines []moment
}

type moment struct {
	at   time.Time
	text string
}

const timelineEvery = 10 * time.Millisecond

// watch asks all nodes again and again until the test ends.
func (c *cluster) watch(topic string) *timeline {
	tl := &timeline{c: c, topic: topic}
	over := make(chan struct{})
	var running sync.WaitGroup
	for id := int32(1); id <= clusterNodes; id++ {
		running.Go(func() { tl.follow(id, over) })
	}
	c.t.Cleanup(func() {
		close(over)
		running.Wait()
	})
	return tl
}

func (tl *timeline) follow(id int32, over chan struct{}) {
	tick := time.NewTicker(timelineEvery)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		if now := tl.c.look(id, tl.topic).String(); now != last {
			tl.note("node %d: %s", id, now)
			last = now
		}
	}
}

func (tl *timeline) note(format string, args ...any) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.lines = append(tl.lines, moment{time.Now(), fmt.Sprintf(format, args...)})
}

// since is what was noted from a moment on.
func (tl *timeline) since(from time.Time) string {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	var out strings.Builder
	for _, m := range tl.lines {
		if !m.at.Before(from) {
			fmt.Fprintf(&out, "%s %s\n", m.at.Format("15:04:05.000"), m.text)
		}
	}
	return out.String()
}

func (s sight) String() string {
	if s.err != nil {
		return "no answer"
	}
	slices.Sort(s.brokers)
	text := fmt.Sprintf("brokers %v, controller %d", s.brokers, s.controller)
	for p := range int32(len(s.leader)) {
		text += fmt.Sprintf(", %d: leader %d of %v", p, s.leader[p], s.isr[p])
	}
	return text
}
