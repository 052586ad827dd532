package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// probe looks into all replicas that live: who leads, and whether what each holds below its high watermark is the same.
func (c *checks) probe() {
	for _, n := range c.s.nodes[1:] {
		l := n.life
		if l == nil || !l.serving || l.closed {
			continue
		}
		for _, id := range c.all() {
			p, err := l.manager.Partition(id)
			if err != nil {
				continue
			}
			st := p.Status()
			if st.Leading {
				c.leads(id, st.LeaderEpoch, l)
			}
			c.compare(id, l, st.HighWatermark)
		}
	}
}

// compare reads what a replica holds below its high watermark, as far as that was not compared yet.
func (c *checks) compare(id kafkaproto.TopicPartition, l *life, high kafkaproto.Offset) {
	h := c.part(id)
	if h.excused != "" {
		return
	}
	at := h.probed[l]
	if high <= at {
		return
	}
	err := readLog(l.engine, id, at, high, func(r record) {
		if r.offset != at && h.excused == "" && !c.failed() {
			c.fail("%s: node %d has nothing at offset %d, below its high watermark %d", c.s.name(id), l.n.id, at, high)
		}
		at = r.offset + 1
		c.fix(h, r, l)
	})
	if err != nil {
		c.s.note("check", "%s at node %d: %v", c.s.name(id), l.n.id, err)
		return
	}
	if at < high && !c.failed() {
		c.fail("%s: node %d ends at %d, below its high watermark %d", c.s.name(id), l.n.id, at, high)
	}
	h.probed[l] = at
}

// fix holds a committed record against what others had there.
func (c *checks) fix(h *partHistory, r record, l *life) {
	i := int(r.offset)
	for len(h.fixed) <= i {
		h.fixed = append(h.fixed, record{offset: -1})
	}
	if h.fixed[i].offset < 0 {
		h.fixed[i] = r
	} else if h.fixed[i] != r {
		c.fail("%s: offset %d, below the high watermark, is %s of epoch %d at node %d and was %s of epoch %d", c.s.name(h.id), r.offset,
			describe(r), r.epoch, l.n.id, describe(h.fixed[i]), h.fixed[i].epoch)
	}
}

func describe(r record) string {
	if strings.HasPrefix(r.value, "p") && strings.Count(r.value, "/") == 3 {
		return short(r.value)
	}
	return fmt.Sprintf("%q", r.value)
}

// durable opens each disk as a power cut at this moment would leave it at worst, and compares: under `always` no high
// watermark, and no acknowledgement, is above what a member of the ISR has flushed. highs are ends that were acknowledged at
// this moment, if any.
func (c *checks) durable(highs map[kafkaproto.TopicPartition]kafkaproto.Offset) {
	if highs == nil {
		highs = map[kafkaproto.TopicPartition]kafkaproto.Offset{}
	}
	for _, id := range c.all() {
		if c.part(id).rules.policy != always {
			continue
		}
		known := c.s.known(id)
		if n := c.s.node(known.Leader); n != nil && n.life != nil && n.life.serving && !n.life.closed {
			if p, err := n.life.manager.Partition(id); err == nil {
				if st := p.Status(); st.Leading && st.LeaderEpoch == known.LeaderEpoch {
					highs[id] = max(highs[id], st.HighWatermark)
				}
			}
		}
	}
	if len(highs) == 0 {
		return
	}
	for _, n := range c.s.nodes[1:] {
		c.durableOn(n, highs)
	}
}

func (c *checks) durableOn(n *node, highs map[kafkaproto.TopicPartition]kafkaproto.Offset) {
	d := n.disk.clone(true, 0, dice{c.s, streamCheck, n.id})
	d.gone, d.full = true, false // nothing takes time
	e, done, err := openAside(d)
	if err != nil {
		if n.lives > 0 && n.life != nil && n.life.serving {
			c.fail("node %d: what a power cut would leave can't be opened: %v", n.id, err)
		}
		return
	}
	defer done()
	for _, id := range c.all() {
		high, ok := highs[id]
		if !ok || !slices.Contains(c.s.known(id).ISR, n.id) {
			continue
		}
		end := kafkaproto.Offset(0)
		if l, ok := e.Log(id); ok {
			end = l.Ends().Written
		}
		if end < high && c.part(id).excused == "" {
			c.fail("%s: the high watermark, or what was acknowledged, is %d, but node %d of the ISR %v has only %d on its disk", c.s.name(id), high, n.id, c.s.known(id).ISR, end)
		}
	}
}

// stoppedClock stands still.
type stoppedClock struct{ now time.Time }

func (c stoppedClock) Now() time.Time                            { return c.now }
func (c stoppedClock) AfterFunc(time.Duration, func()) env.Timer { return stoppedTimer{} }
func (c stoppedClock) NewTimer(time.Duration) env.Timer          { return stoppedTimer{} }

type stoppedTimer struct{}

func (stoppedTimer) C() <-chan time.Time      { return nil }
func (stoppedTimer) Stop() bool               { return false }
func (stoppedTimer) Reset(time.Duration) bool { return false }

// openAside opens an engine on a disk that nobody else uses.
func openAside(d *disk) (*log.Engine, func(), error) {
	e := env.Env{Clock: stoppedClock{makeTime(startOfTime*1e9, 1)}, Rand: nodeRand{dice{d.s, streamCheck, d.n.id}}, FS: d}
	dir, err := log.OpenDirectory(e, "data", d.n.id)
	if err != nil {
		return nil, nil, err
	}
	engine, err := log.Open(log.Options{Directory: dir, Env: e, ReserveBytes: -1})
	if err != nil {
		_ = dir.Close()
		return nil, nil, err
	}
	return engine, func() {
		_ = engine.Close()
		_ = dir.Close()
	}, nil
}

// final is the end of a run, when all is well again: every replica holds the same, and all that was promised is there.
func (c *checks) final() {
	c.probe()
	for _, h := range c.order() {
		c.finalPart(h)
	}
}

func (c *checks) finalPart(h *partHistory) {
	known := c.s.known(h.id)
	n := c.s.node(known.Leader)
	if n == nil || n.life == nil || h.excused != "" {
		return
	}
	p, err := n.life.manager.Partition(h.id)
	if err != nil {
		c.fail("%s: %v", c.s.name(h.id), err)
		return
	}
	high := p.Status().HighWatermark
	if high < h.high {
		c.fail("%s: the high watermark ends at %d, but %d was shown", c.s.name(h.id), high, h.high)
	}
	var all []record
	if err := readLog(n.life.engine, h.id, 0, high, func(r record) { all = append(all, r) }); err != nil {
		c.fail("%s: %v: %v", c.s.name(h.id), errUnreadable, err)
		return
	}
	c.promised(h, all)
	if h.ours {
		c.ordered(h, all)
	}
}

// promised looks for what was acknowledged and what was shown.
func (c *checks) promised(h *partHistory, all []record) {
	at := map[kafkaproto.Offset]record{}
	for _, r := range all {
		at[r.offset] = r
	}
	for o, a := range h.acked {
		if r, ok := at[o]; a.acks != 1 && (!ok || r.value != a.value) {
			c.lost(h, fmt.Sprintf("%s was acknowledged at offset %d", short(a.value), o), r, ok)
			return
		}
	}
	for o, s := range h.shown {
		if r, ok := at[o]; !ok || r != s {
			c.lost(h, fmt.Sprintf("%s was shown at offset %d", short(s.value), o), r, ok)
			return
		}
	}
	for o, f := range h.fixed {
		if r, ok := at[kafkaproto.Offset(o)]; f.offset >= 0 && (!ok || r != f) {
			c.lost(h, fmt.Sprintf("%s was committed at offset %d", describe(f), o), r, ok)
			return
		}
	}
}

func (c *checks) lost(h *partHistory, what string, r record, there bool) {
	if !there {
		c.fail("%s: %s and is gone", c.s.name(h.id), what)
		return
	}
	c.fail("%s: %s, and now %s of epoch %d is there", c.s.name(h.id), what, describe(r), r.epoch)
}

// ordered checks that producers' records stand in their order, those of idempotent ones each once and without a gap, and that
// nothing stands there that nobody has sent.
func (c *checks) ordered(h *partHistory, all []record) {
	next := map[int]int{}
	for _, r := range all {
		if !h.made[r.value] {
			c.fail("%s: %s at offset %d was sent by nobody", c.s.name(h.id), describe(r), r.offset)
			return
		}
		id, n := numbers(r.value)
		p := c.s.producers[id-1]
		if !p.idempotent {
			continue
		}
		if n != next[id] {
			c.fail("%s: offset %d is record %d of %s, which sends each once and in order; %d is due", c.s.name(h.id), r.offset, n, p.name, next[id])
			return
		}
		next[id] = n + 1
	}
}

// numbers are the producer and the number of its record in the partition.
func numbers(value string) (producer, n int) {
	f := strings.SplitN(value, "/", 4)
	producer, _ = strconv.Atoi(f[0][1:])
	n, _ = strconv.Atoi(f[2])
	return producer, n
}
