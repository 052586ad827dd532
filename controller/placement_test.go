package controller

import (
	"fmt"
	"slices"
	"testing"
)

// brokersIn makes an image of active brokers, one for each rack named.
func brokersIn(t testing.TB, racks ...string) *Image {
	t.Helper()
	var events []Event
	for i, rack := range racks {
		b := Broker{ID: int32(i), Epoch: int64(i + 1), Rack: &rack}
		if rack == "fenced" {
			b.Fenced = true
		}
		events = append(events, &BrokerRegistered{Broker: b})
	}
	img, _, err := NewImage().Replay(events)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestPlacementSpreadsLeadersReplicasAndRacks(t *testing.T) {
	for _, c := range []struct {
		racks          []string
		factor         int
		racksPerReplic int // distinct racks that every partition must have
	}{
		{[]string{"a"}, 1, 1},
		{[]string{"a", "a", "a"}, 2, 1},
		{[]string{"a", "b", "c"}, 3, 3},
		{[]string{"a", "a", "b", "b", "c", "c"}, 3, 3},
		{[]string{"a", "a", "a", "b", "b", "c"}, 3, 3},
		{[]string{"a", "a", "b", "b"}, 3, 2},
	} {
		for seed := range uint64(20) {
			img := brokersIn(t, c.racks...)
			n := 60 * len(c.racks)
			replicas, err := newRing(img, seed).place(n, c.factor)
			if err != nil {
				t.Fatal(err)
			}
			leaders := map[int32]int{}
			for _, r := range replicas {
				leaders[r[0]]++
				checkPlaced(t, c.racks, r, c.factor, c.racksPerReplic)
			}
			for id, led := range leaders {
				if led != 60 {
					t.Errorf("%v seed %d: broker %d leads %d partitions, not 60", c.racks, seed, id, led)
				}
			}
		}
	}
}

func checkPlaced(t *testing.T, racks []string, replicas []int32, factor, distinct int) {
	t.Helper()
	seen := map[string]bool{}
	for i, id := range replicas {
		seen[racks[id]] = true
		if slices.Contains(replicas[:i], id) {
			t.Errorf("%v names a broker twice", replicas)
		}
	}
	if len(replicas) != factor || len(seen) != distinct {
		t.Errorf("%v: %d replicas on %d racks of %v", replicas, len(replicas), len(seen), racks)
	}
}

func TestFollowersOfOneBrokerAreSpreadOverTheOthers(t *testing.T) {
	replicas, err := newRing(brokersIn(t, "a", "a", "a", "a", "a"), 3).place(100, 2)
	if err != nil {
		t.Fatal(err)
	}
	pairs := map[string]int{}
	for _, r := range replicas {
		pairs[fmt.Sprint(r)]++
	}
	if len(pairs) != 20 {
		t.Errorf("%d of 20 pairs used: %v", len(pairs), pairs)
	}
}

func TestFencedBrokersTakeReplicasOnlyWhenThereAreTooFewOthers(t *testing.T) {
	img := brokersIn(t, "a", "fenced", "a")
	few, err := newRing(img, 1).place(10, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range few {
		if slices.Contains(r, 1) {
			t.Errorf("%v uses the fenced broker", r)
		}
	}
	all, err := newRing(img, 1).place(10, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r[2] != 1 {
			t.Errorf("%v does not have the fenced broker last", r)
		}
		if p := newPartition(img, 0, r); slices.Contains(p.ISR, 1) || p.Leader == 1 {
			t.Errorf("the fenced broker is in the ISR: %+v", p)
		}
	}
}

func TestSameSeedPlacesAlike(t *testing.T) {
	img := brokersIn(t, "a", "b", "c", "a", "b")
	a, _ := newRing(img, 42).place(50, 3)
	b, _ := newRing(img, 42).place(50, 3)
	c, _ := newRing(img, 43).place(50, 3)
	if fmt.Sprint(a) != fmt.Sprint(b) || fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("placement is not a matter of the seed")
	}
}
