package compat

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// soakSpecs are the topics of the soak. The last ones are deleted and made again.
var soakSpecs = []soakSpec{
	{name: "sized", partitions: 6, delete: true, small: 300, large: 30_000, perSecond: 600, limits: soakLimits{bytes: 400_000},
		configs: map[string]string{"segment.bytes": "1048576"}},
	{name: "aged", partitions: 3, delete: true, small: 500, large: 200_000, perSecond: 150, plain: true, limits: soakLimits{time: 5 * time.Second},
		configs: map[string]string{"segment.ms": "1000", "flush.messages": "1"}},
	{name: "many", partitions: 60, delete: true, small: 60, large: 500, perSecond: 300, limits: soakLimits{bytes: 4000}},
	{name: "keyed", partitions: 4, compact: true, keys: 500, small: 200, large: 10_000, perSecond: 300, tombstoneTime: 2 * time.Second,
		configs: map[string]string{"cleanup.policy": "compact", "segment.ms": "1000", "delete.retention.ms": "2000"}},
	{name: "both", partitions: 3, delete: true, compact: true, keys: 500, small: 300, large: 5000, perSecond: 100, tombstoneTime: 3 * time.Second,
		limits:  soakLimits{time: 8 * time.Second},
		configs: map[string]string{"cleanup.policy": "compact,delete", "segment.bytes": "1048576", "segment.ms": "2000", "delete.retention.ms": "3000"}},
	{name: "kept", partitions: 2, delete: true, small: 50, large: 200, perSecond: 50, plain: true, configs: map[string]string{"retention.ms": "-1"}},
	{name: "brief-1", partitions: 8, delete: true, small: 300, large: 20_000, perSecond: 60, limits: soakLimits{bytes: 100_000}},
	{name: "brief-2", partitions: 2, compact: true, keys: 50, small: 300, large: 20_000, perSecond: 60, tombstoneTime: time.Second,
		configs: map[string]string{"cleanup.policy": "compact", "segment.ms": "500", "delete.retention.ms": "1000"}},
}

const soakBrief = 2 // of the topics

// operate does one thing after the other until the run is over.
func (s *soak) operate(over *atomic.Bool) {
	rng := rand.New(rand.NewPCG(s.seed, 2))
	for !over.Load() && s.ctx.Err() == nil {
		time.Sleep(time.Duration(50+rng.IntN(500)) * time.Millisecond)
		topics := s.now()
		topic := topics[rng.IntN(len(topics))]
		switch rng.IntN(8) {
		case 0, 1:
			s.deleteRecords(topic, rng)
		case 2, 3:
			s.move(topic, rng)
		case 4:
			s.retainOther(topic, rng)
		case 5:
			s.configure(topic, rng)
		case 6:
			s.again(len(topics)-1-rng.IntN(soakBrief), rng)
		default:
			topic.check()
		}
	}
}

// lookAround asks for the starts of all topics again and again, so that what was removed is judged soon.
func (s *soak) lookAround(over *atomic.Bool) {
	for !over.Load() && s.ctx.Err() == nil {
		for _, topic := range s.now() {
			if topic.look() == nil {
				s.count("looks at where topics start")
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func (s *soak) deleteRecords(t *soakTopic, rng *rand.Rand) {
	if !t.delete {
		return
	}
	p := rng.Int32N(int32(t.partitions))
	var end int64
	if !s.must("end of "+t.name, func() error {
		ends, err := s.admin.ListEndOffsets(s.ctx, t.name)
		if err == nil {
			err = ends.Error()
		}
		o, _ := ends.Lookup(t.name, p)
		end = o.Offset
		return err
	}) {
		return
	}
	start := t.startOf(p)
	if t.name == "kept" || end <= start {
		return
	}
	to := start + rng.Int64N(end-start+1)
	t.deleting(p, to)
	s.notes.note("%s-%d: delete records below %d of %d", t.life, p, to, end)
	var offsets kadm.Offsets
	offsets.AddOffset(t.name, p, to, -1)
	s.must("delete records of "+t.name, func() error {
		answers, err := s.admin.DeleteRecords(s.ctx, offsets)
		if err == nil {
			err = answers.Error()
		}
		if errors.Is(err, kerr.OffsetOutOfRange) && t.look() == nil && t.startOf(p) >= to {
			return nil // retention was faster
		}
		return err
	})
	s.count("DeleteRecords")
}

func (s *soak) move(t *soakTopic, rng *rand.Rand) {
	to, p := s.dirs[rng.IntN(len(s.dirs))], rng.Int32N(int32(t.partitions))
	s.notes.note("%s-%d: move to %s", t.life, p, to)
	var set kadm.TopicsSet
	set.Add(t.name, p)
	s.must("move "+t.name, func() error {
		answers, err := s.admin.AlterAllReplicaLogDirs(s.ctx, kadm.AlterReplicaLogDirsReq{to: set})
		if err == nil {
			answers.Each(func(a kadm.AlterReplicaLogDirsResponse) { err = errors.Join(err, a.Err) })
		}
		return err
	})
	s.count("moves to another directory")
}

// retainOther changes how much of a topic is kept.
func (s *soak) retainOther(t *soakTopic, rng *rand.Rand) {
	var limits soakLimits
	switch {
	case t.name == "kept" || !t.delete:
		return
	case t.limits.time > 0:
		limits.time = 3*time.Second + time.Duration(rng.IntN(6000))*time.Millisecond
		s.alter(t, limits, "retention.ms", limits.time.Milliseconds())
	default:
		limits.bytes = t.limits.bytes/4 + rng.Int64N(t.limits.bytes)
		s.alter(t, limits, "retention.bytes", limits.bytes)
	}
}

func (s *soak) alter(t *soakTopic, limits soakLimits, name string, value any) {
	done := t.limit(limits)
	s.set(t, name, value)
	done()
}

// configure changes something that must not change what is kept.
func (s *soak) configure(t *soakTopic, rng *rand.Rand) {
	switch rng.IntN(3) {
	case 0:
		s.set(t, "segment.ms", 500+rng.IntN(3000))
	case 1:
		s.set(t, "segment.bytes", 1<<20+rng.IntN(1<<20))
	default:
		s.set(t, "min.cleanable.dirty.ratio", fmt.Sprintf("%.2f", rng.Float64()/2))
	}
}

func (s *soak) set(t *soakTopic, name string, value any) {
	s.notes.note("%s: %s=%v", t.life, name, value)
	s.must("configure "+t.name, func() error {
		answers, err := s.admin.AlterTopicConfigs(s.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: textOf(value)}}, t.name)
		for _, a := range answers {
			err = errors.Join(err, a.Err)
		}
		return err
	})
	s.count("changes of configuration")
}

// again deletes a topic under its load, and makes one of the same name.
func (s *soak) again(i int, rng *rand.Rand) {
	old := s.now()[i]
	s.notes.note("%s: delete", old.life)
	old.mu.Lock()
	old.deleted = true
	old.mu.Unlock()
	s.must("delete "+old.name, func() error {
		_, err := s.admin.DeleteTopic(s.ctx, old.name)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil // the answer to an earlier try was lost
		}
		return err
	})
	old.end()
	s.count("topics deleted and made again")
	if rng.IntN(2) == 0 {
		time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
	}
	fresh := s.startTopic(old.soakSpec)
	s.mu.Lock()
	s.topics[i] = fresh
	s.mu.Unlock()
}
