package controller

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// ring places replicas. Active brokers stand in a circle in which racks take turns; leaders go round it one by one, and each
// partition's followers stand further on, at a distance that grows by one with every round, on racks that the partition
// does not use yet. So leaders are spread evenly, and a broker's followers are not all on the same neighbour. Brokers that
// are fenced now take replicas only when there are too few others. The seed decides where the circle starts.
type ring struct {
	seats  []seat
	active int // seats[:active] are active, the rest is not
	racks  int
	next   int
}

type seat struct {
	id   int32
	rack string
}

func newRing(img *Image, seed uint64) *ring {
	r := &random{seed}
	var active, fenced []seat
	for b := range img.Brokers() {
		s := seat{id: b.ID}
		if b.Rack != nil {
			s.rack = *b.Rack
		}
		if b.Active() {
			active = append(active, s)
		} else {
			fenced = append(fenced, s)
		}
	}
	seats, racks := interleave(active, r)
	rest, _ := interleave(fenced, r)
	ring := &ring{seats: append(seats, rest...), active: len(active), racks: racks}
	if ring.active > 0 {
		ring.next = r.below(ring.active)
	}
	return ring
}

// interleave shuffles the brokers of each rack and lets the racks take turns, larger ones first.
func interleave(brokers []seat, r *random) ([]seat, int) {
	byRack := map[string][]seat{}
	for _, b := range brokers {
		byRack[b.rack] = append(byRack[b.rack], b)
	}
	racks := make([][]seat, 0, len(byRack))
	for _, members := range byRack {
		racks = append(racks, members)
	}
	slices.SortFunc(racks, func(a, b []seat) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a[0].rack, b[0].rack))
	})
	for _, members := range racks {
		r.shuffle(members)
	}
	seats := make([]seat, 0, len(brokers))
	for round := 0; len(seats) < len(brokers); round++ {
		for _, members := range racks {
			if round < len(members) {
				seats = append(seats, members[round])
			}
		}
	}
	return seats, len(racks)
}

// place finds factor brokers for each of n partitions. Errors: INVALID_REPLICATION_FACTOR.
func (r *ring) place(n, factor int) ([][]int32, error) {
	bad := kafkaproto.ErrInvalidReplicationFactor
	if factor > len(r.seats) {
		return nil, bad.With("Unable to replicate the partition %d time(s): The target replication factor of %d cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", factor, factor, len(r.seats))
	}
	if r.active == 0 {
		return nil, bad.With("Unable to replicate the partition %d time(s): All brokers are currently fenced.", factor)
	}
	replicas := make([][]int32, n)
	for i := range replicas {
		replicas[i] = r.partition(factor)
	}
	return replicas, nil
}

func (r *ring) partition(factor int) []int32 {
	leader := r.next % r.active
	distance := 0
	if r.active > 1 {
		distance = r.next / r.active % (r.active - 1)
	}
	r.next++
	replicas := make([]int32, 1, factor)
	replicas[0] = r.seats[leader].id
	racks := map[string]bool{r.seats[leader].rack: true}
	for len(replicas) < min(factor, r.active) {
		s := r.follower(leader, distance, replicas, racks)
		replicas = append(replicas, s.id)
		racks[s.rack] = true
		if len(racks) == r.racks {
			clear(racks)
		}
	}
	for i := r.active; len(replicas) < factor; i++ {
		replicas = append(replicas, r.seats[i].id)
	}
	return replicas
}

// follower is the first free seat after the leader's whose rack is not used, or else the first free one.
func (r *ring) follower(leader, distance int, taken []int32, racks map[string]bool) seat {
	var free *seat
	for i := range r.active - 1 {
		s := &r.seats[(leader+1+(distance+i)%(r.active-1))%r.active]
		if slices.Contains(taken, s.id) {
			continue
		}
		if !racks[s.rack] {
			return *s
		}
		if free == nil {
			free = s
		}
	}
	return *free
}

// random is splitmix64: the same seed places alike on every machine and in every version.
type random struct{ state uint64 }

func (r *random) below(n int) int {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n))
}

func (r *random) shuffle(s []seat) {
	for i := len(s) - 1; i > 0; i-- {
		j := r.below(i + 1)
		s[i], s[j] = s[j], s[i]
	}
}

// randomSeed is never 0, which stands for a seed that is missing.
func randomSeed(read func([]byte)) uint64 {
	var b [8]byte
	read(b[:])
	return binary.BigEndian.Uint64(b[:]) | 1
}
