package compat

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// chaosGroup is a group of one consumer of each library. It keeps what they were given and what they committed.
type chaosGroup struct {
	r       *chaos
	members []*driver
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	given    []map[int64]string // by partition: the values that were given, by offset
	acked    []int64            // by partition: the highest acknowledged commit
	commits  int
	refused  int
	again    int
	findings findings
}

const chaosGroupID = "chaos-readers"

func startChaosGroup(r *chaos) *chaosGroup {
	g := &chaosGroup{r: r, acked: make([]int64, len(spread))}
	for range spread {
		g.given = append(g.given, map[int64]string{})
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	g.cancel = cancel
	for _, name := range loadClientNames {
		d := startDriver(r.t, &broker{addr: r.c.bootstrap()}, clientNamed(r.t, name))
		g.members = append(g.members, d)
		d.must("join", fields{
			"group": chaosGroupID, "topics": []string{chaosTopic}, "instance_id": nil, "assignor": "range",
			"session_timeout_ms": 6000, "client_id": nil,
		}, nil)
		g.running.Go(func() { g.consume(ctx, d) })
	}
	g.running.Go(func() { g.watchCommitted(ctx) })
	return g
}

// consume takes what a member is given and commits it.
func (g *chaosGroup) consume(ctx context.Context, d *driver) {
	last := map[int32]int64{}
	rebalances := -1
	for ctx.Err() == nil {
		var got struct {
			Records    []sentRecord
			Rebalances int
		}
		if err := d.ask("member", nil, &got); err != nil {
			g.fault("%v", err)
			return
		}
		if got.Rebalances != rebalances { // it begins anew at what is committed
			clear(last)
			rebalances = got.Rebalances
		}
		for _, r := range got.Records {
			g.take(d, r, last)
		}
		if len(got.Records) == 0 {
			time.Sleep(20 * time.Millisecond) // the driver would else be asked without end
			continue
		}
		g.commit(d)
	}
}

func (g *chaosGroup) take(d *driver, r sentRecord, last map[int32]int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := *r.Partition
	words := strings.SplitN(string(r.Value), " ", 3)
	value := strings.Join(words[:min(2, len(words))], " ")
	if before, ok := last[p]; ok && r.Offset > before+1 {
		g.findings.add("skipped: %s was given %d-%d after %d", d.client.Name, p, r.Offset, before)
	}
	last[p] = r.Offset
	if was, ok := g.given[p][r.Offset]; ok {
		g.again++
		if was != value {
			g.findings.add("changed: %d-%d was %q and is %q (%s)", p, r.Offset, was, value, d.client.Name)
		}
	}
	g.given[p][r.Offset] = value
}

// commit may be refused: the coordinator went, or a rebalance is under way. Then nothing counts as committed.
func (g *chaosGroup) commit(d *driver) {
	var got struct{ Offsets [][3]json.RawMessage }
	err := d.ask("member_commit", nil, &got)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.refused++
		return
	}
	g.commits++
	for _, o := range got.Offsets {
		p, err1 := strconv.Atoi(string(o[1]))
		offset, err2 := strconv.ParseInt(string(o[2]), 10, 64)
		if err1 != nil || err2 != nil || p >= len(g.acked) {
			g.findings.add("%s answers %s", d.client.Name, o)
			return
		}
		g.acked[p] = max(g.acked[p], offset)
	}
}

func (g *chaosGroup) fault(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.findings.add(format, args...)
}

// watchCommitted asks again and again what is committed: it never goes back behind what was acknowledged before.
func (g *chaosGroup) watchCommitted(ctx context.Context) {
	for ctx.Err() == nil {
		g.lookCommitted(ctx)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (g *chaosGroup) lookCommitted(ctx context.Context) bool {
	g.mu.Lock()
	acked := append([]int64(nil), g.acked...)
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	fetched, err := g.r.c.admin.FetchOffsets(ctx, chaosGroupID)
	if err != nil || fetched.Error() != nil {
		return false
	}
	for p, want := range acked {
		if o, ok := fetched.Lookup(chaosTopic, int32(p)); want > 0 && (!ok || o.At < want) {
			g.fault("gone back: partition %d is committed at %d (%v), %d was acknowledged before", p, o.At, ok, want)
		}
	}
	return true
}

// finish waits until the group has been given everything.
func (g *chaosGroup) finish(ends []int64) {
	deadline := time.Now().Add(2 * time.Minute)
	for !g.hasAll(ends) {
		if time.Now().After(deadline) {
			break // check says what is missing
		}
		time.Sleep(50 * time.Millisecond)
	}
	g.cancel()
	g.running.Wait()
	if !g.lookCommitted(g.r.t.Context()) {
		g.fault("what is committed can't be asked for when all is healed")
	}
	for _, d := range g.members {
		d.quit()
	}
}

func (g *chaosGroup) hasAll(ends []int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, end := range ends {
		if int64(len(g.given[p])) < end {
			return false
		}
	}
	return true
}

// check holds what was given against what is there in the end.
func (g *chaosGroup) check(logs [][]stored, f *findings) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.count += g.findings.count
	f.words = append(f.words, g.findings.words...)
	for p, log := range logs {
		there := map[int64]bool{}
		for _, r := range log {
			there[r.offset] = true
			value, ok := g.given[p][r.offset]
			switch want := fmt.Sprintf("%s %d", r.name, r.n); {
			case !ok:
				f.add("unseen: %d-%d (%s) was never given to the group", p, r.offset, want)
			case value != want:
				f.add("changed: the group was given %q at %d-%d, where %q is", value, p, r.offset, want)
			}
		}
		for offset, value := range g.given[p] {
			if !there[offset] {
				f.add("vanished: the group was given %q at %d-%d", value, p, offset)
			}
		}
	}
}

func (g *chaosGroup) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	given := 0
	for _, p := range g.given {
		given += len(p)
	}
	return fmt.Sprintf("%d records given, %d of them again; %d commits acknowledged, %d refused", given, g.again, g.commits, g.refused)
}
