package controller

import (
	"encoding/binary"
	"maps"
	"slices"
)

// raiseInternal gives the coordinators' topics more replicas as brokers come: a topic that was made when there was one broker
// would else go with it. Only those topics whose replication factor nobody has set (Defaults.InternalReplicas) are raised,
// and never lowered. New replicas join the ISR when they have caught up.
func (d *decision) raiseInternal() error {
	if len(d.defaults.InternalReplicas) == 0 {
		return nil
	}
	if err := d.settle(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(d.defaults.InternalReplicas)) {
		if t, ok := d.img.Topic(name); ok {
			d.raise(t, int(d.defaults.InternalReplicas[name]))
		}
	}
	return nil
}

func (d *decision) raise(t *Topic, target int) {
	ring := newRing(d.img, binary.BigEndian.Uint64(t.ID[:]))
	for i, p := range t.Partitions {
		replicas := ring.extend(p.Replicas, min(target, ring.active), i)
		if len(replicas) == len(p.Replicas) {
			continue
		}
		n := *p
		n.Replicas = replicas
		n.PartitionEpoch++
		d.emit(&PartitionChanged{Topic: t.ID, Partition: n})
	}
}

// extend adds active brokers to the replicas of a partition until there are factor of them, on racks that it does not use yet
// where there are any. The i-th partition prefers the i-th broker of the circle, or the next one of its replicas, so that
// leaders are spread.
func (r *ring) extend(replicas []int32, factor, i int) []int32 {
	if len(replicas) >= factor {
		return replicas
	}
	turn := append(slices.Clone(r.seats[i%r.active:r.active]), r.seats[:i%r.active]...)
	racks := map[string]bool{}
	for _, s := range r.seats {
		if slices.Contains(replicas, s.id) {
			racks[s.rack] = true
		}
	}
	all := slices.Clone(replicas)
	for _, anywhere := range []bool{false, true} {
		for _, s := range turn {
			if len(all) < factor && !slices.Contains(all, s.id) && (anywhere || !racks[s.rack]) {
				all = append(all, s.id)
				racks[s.rack] = true
			}
		}
	}
	ordered := make([]int32, 0, len(all))
	for _, s := range turn {
		if slices.Contains(all, s.id) {
			ordered = append(ordered, s.id)
		}
	}
	for _, id := range all {
		if !slices.Contains(ordered, id) {
			ordered = append(ordered, id) // fenced now
		}
	}
	return ordered
}
