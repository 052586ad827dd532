package bench

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// fill puts n batches of ten records into the sink's log.
func (s *sink) fill(t *testing.T, n int) {
	batch, err := encodeBatch(10, 20, "none", time.UnixMilli(1))
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		binary.BigEndian.PutUint64(batch, uint64(s.end))
		s.log = append(s.log, batch...)
		s.end += 10
	}
}

func TestConsumeCountsWhatIsThere(t *testing.T) {
	s := newSink(t, "load", 4)
	s.fill(t, 25)
	r, err := Consume(t.Context(), ConsumeOptions{Target: sinkTarget(s), Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	if r.Records != 1000 || r.Bytes != int64(4*len(s.log)) {
		t.Errorf("counted %d records in %d bytes, want 1000 in %d", r.Records, r.Bytes, 4*len(s.log))
	}
}

func TestConsumeRereadsUntilTheTimeIsOver(t *testing.T) {
	s := newSink(t, "load", 1)
	s.fill(t, 25)
	r, err := Consume(t.Context(), ConsumeOptions{Target: sinkTarget(s), Duration: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Records <= 250 {
		t.Errorf("counted %d records, want more than one reading of 250", r.Records)
	}
}

func TestConsumeStopsAtTheCountAskedFor(t *testing.T) {
	s := newSink(t, "load", 1)
	s.fill(t, 25)
	r, err := Consume(t.Context(), ConsumeOptions{Target: sinkTarget(s), Duration: time.Minute, Records: 2000})
	if err != nil {
		t.Fatal(err)
	}
	if r.Records < 2000 || r.Records > 2250 {
		t.Errorf("counted %d records, want 2000 and at most a fetch more", r.Records)
	}
}

func TestConsumeOfAnEmptyTopicEnds(t *testing.T) {
	s := newSink(t, "load", 1)
	r, err := Consume(t.Context(), ConsumeOptions{Target: sinkTarget(s), Duration: time.Minute})
	if err != nil || r.Records != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestConsumeNamesAnAnswerWithoutAWholeBatch(t *testing.T) {
	s := newSink(t, "load", 1)
	s.fill(t, 1)
	s.log = s.log[:len(s.log)-1]
	_, err := Consume(t.Context(), ConsumeOptions{Target: sinkTarget(s)})
	if err == nil || !strings.Contains(err.Error(), "no whole batch") {
		t.Errorf("got %v", err)
	}
}

func fake(t *testing.T) Target {
	t.Helper()
	target, _ := fakeCluster(t)
	return target
}

func fakeCluster(t *testing.T, opts ...kfake.Opt) (Target, *kfake.Cluster) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Target{Bootstrap: c.ListenAddrs(), Topic: "load"}, c
}

func TestWhatIsProducedCanBeConsumed(t *testing.T) {
	for _, codec := range Compressions {
		t.Run(codec, func(t *testing.T) {
			target := fake(t)
			target.Partitions = 3
			r, err := Produce(t.Context(), ProduceOptions{
				Target: target, BatchRecords: 50, Connections: 2, Acks: -1, Records: 5000, Compression: codec,
			})
			if err != nil || r.Records != 5000 || r.Partitions != 3 {
				t.Fatalf("produce: %+v, %v", r, err)
			}
			r, err = Consume(t.Context(), ConsumeOptions{Target: target})
			if err != nil || r.Records != 5000 {
				t.Fatalf("consume: %+v, %v", r, err)
			}
		})
	}
}

func TestConnectionsGoToEachLeader(t *testing.T) {
	target, c := fakeCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(6, "load"))
	target.Partitions = 6
	for p := range int32(6) { // by itself it draws leaders by lot, once in 243 times one for all
		if err := c.MoveTopicPartition("load", p, p%3); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Produce(t.Context(), ProduceOptions{Target: target, BatchRecords: 10, Connections: 1, Acks: -1, Records: 600})
	if err != nil || r.Records != 600 || r.Connections < 2 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestEndToEndCountsEveryRecordOnce(t *testing.T) {
	target := fake(t)
	for _, plain := range []bool{false, true} {
		for _, acks := range []int16{-1, 0} {
			r, err := EndToEnd(t.Context(), EndToEndOptions{
				Target: target, Rate: 500, RecordSize: 16, Acks: acks, Plain: plain, WarmUp: 200 * time.Millisecond, Duration: 500 * time.Millisecond,
			})
			if err != nil {
				t.Fatalf("plain %v, acks %d: %v", plain, acks, err)
			}
			if l := r.Latency; l == nil || l.Count < 100 || l.Count > 400 || l.P50 <= 0 || r.Errors != 0 {
				t.Errorf("plain %v, acks %d: %+v, latency %+v, want about 250 records", plain, acks, r, l)
			}
		}
	}
}

func TestAPlainEndToEndTellsOfAConnectionThatHasGone(t *testing.T) {
	o := EndToEndOptions{Target: fake(t), RecordSize: 16, Acks: -1}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	top, err := prepare(t.Context(), o.Target)
	if err != nil {
		t.Fatal(err)
	}
	client, err := newPlainEndToEnd(t.Context(), &o, top)
	if err != nil {
		t.Fatal(err)
	}
	c := client.(*plainEndToEnd)
	for _, p := range c.producers {
		_ = p.conn.nc.Close()
	}
	errs := make(chan error, 100)
	for range 2 * len(c.producers) {
		client.send(make([]byte, 16), func(err error) { errs <- err })
	}
	if err := client.flush(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 * len(c.producers) {
		select {
		case err := <-errs:
			if err == nil {
				t.Error("a record that went nowhere was acknowledged")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a record is not answered for")
		}
	}
	client.close()
	var failed error
	client.consume(t.Context(), func([]byte) {}, func(err error) { failed = err })
	if failed == nil {
		t.Error("a consumer without a connection has not failed")
	}
}

func TestNobodyAtTheAddressIsAnErrorAtOnce(t *testing.T) {
	_, err := Produce(t.Context(), ProduceOptions{Target: Target{Bootstrap: []string{"127.0.0.1:1"}}})
	if err == nil || !strings.Contains(err.Error(), "no broker answers") {
		t.Errorf("got %v", err)
	}
}

func TestConsumeReadsOnlyThePartitionsNamed(t *testing.T) {
	s := newSink(t, "load", 4)
	s.fill(t, 25)
	r, err := Consume(t.Context(), ConsumeOptions{Target: sinkTarget(s), Only: []int32{1, 3}})
	if err != nil || r.Records != 500 {
		t.Errorf("got %+v, %v, want 500 records", r, err)
	}
	if _, err := Consume(t.Context(), ConsumeOptions{Target: sinkTarget(s), Only: []int32{1, 4}}); err == nil {
		t.Error("a partition that is not there: no error")
	}
}
