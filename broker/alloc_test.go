package broker

import (
	"runtime"
	"testing"

	"github.com/streambus/streambus/internal/invariants"
)

// Allocations of a whole request, from its frame to its answer, of the server, its log and this test's reading together.
const (
	produceAllocs = 12
	fetchAllocs   = 14
)

// allocations sends a request again and again, and says how many allocations each costs in this process.
func allocations(c *client, frame []byte) float64 {
	ask := func(times int) {
		for range times {
			c.exchange(frame)
		}
	}
	const times = 1000
	ask(times / 5) // fills pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ask(times)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / times
}

// Produce and Fetch cost a bounded number of allocations, and none for a record.
func TestRequestsAllocateNothingForARecord(t *testing.T) {
	if invariants.Enabled {
		t.Skip("the checks of this build allocate")
	}
	measure := func(records int) (produce, fetch float64) {
		b := startBroker(t, onDisk())
		b.createTopic("in", 1)
		b.createTopic("out", 1)
		c := b.dial()
		req := produceRequest("out", 0, recordsOf100(records))
		if p := c.produce(req); p.ErrorCode != 0 {
			t.Fatalf("%+v", p)
		}
		req = produceRequest("in", 0, recordsOf100(records))
		req.Acks = 1
		return allocations(c, frameOf(req, 1)), allocations(c, frameOf(fetchRequest("out", 0, 0), 1))
	}
	fewP, fewF := measure(10)
	manyP, manyF := measure(1000)
	t.Logf("produce: %.1f allocations with 10 records, %.1f with 1000; fetch: %.1f and %.1f", fewP, manyP, fewF, manyF)
	for what, got := range map[string][3]float64{"Produce": {fewP, manyP, produceAllocs}, "Fetch": {fewF, manyF, fetchAllocs}} {
		few, many, most := got[0], got[1], got[2]
		if many > few+4 {
			t.Errorf("%s: %.1f allocations for 1000 records, %.1f for 10", what, many, few)
		}
		if max(few, many) > most {
			t.Errorf("%s: %.1f allocations, %v are allowed", what, max(few, many), most)
		}
	}
}
