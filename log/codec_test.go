package log

import (
	"reflect"
	"testing"

	"github.com/streambus/streambus/kafkaproto"
)

func FuzzFrameNeverPanicsAndNeverPassesByChance(f *testing.F) {
	h := frameHeader{kind: frameData, at: at(1, 64), sequence: 3, log: topic(1, 2), last: 4, batches: 1, length: 61}
	raw := make([]byte, frameHeaderLen+61)
	h.encode(raw)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		var h frameHeader
		if h.decode(data) != nil || int64(len(data)) < frameHeaderLen+int64(h.length) {
			return
		}
		_ = checkFrame(&h, data[:frameHeaderLen], data[frameHeaderLen:][:h.length], 99)
	})
}

func FuzzDecodersOfStoredStateNeverPanic(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = new(logState).decode(data)
		_ = new(checkpoint).decode(data)
		_ = new(entry).decode(7, data)
		_ = new(run).decode(7, data)
		_ = new(hole).decode(7, data)
		_ = new(walEnd).decode(data)
		_ = new(engineState).decode(data)
		_ = new(fileHeader).decode(fileWAL, data)
		_ = new(metaProperties).decode(string(data))
		_, _ = decodeAborted(7, data)
		_, _ = decodeRoster(data)
		for rest := data; len(rest) > 0; {
			var err error
			if _, rest, err = nextControl(rest); err != nil {
				break
			}
		}
	})
}

func TestWhatIsEncodedDecodesToItself(t *testing.T) {
	e, e2 := entry{base: 5, last: 9, maxTime: 1234567890123, file: 3, pos: 160, length: 999, epoch: 7}, entry{}
	if err := e2.decode(9, e.encode(nil)); err != nil || e != e2 {
		t.Errorf("entry %+v %v", e2, err)
	}
	r, r2 := run{base: 5, last: 9, file: 3, bytes: 77, maxTime: -1}, run{}
	if err := r2.decode(9, r.encode(nil)); err != nil || r != r2 {
		t.Errorf("run %+v %v", r2, err)
	}
	h, h2 := hole{first: 1, last: 4, file: 2, pos: 88}, hole{}
	if err := h2.decode(4, h.encode()); err != nil || h != h2 {
		t.Errorf("hole %+v %v", h2, err)
	}
	m, m2 := meta{incarnation: 1, start: 2, next: 3, high: 4, checkpoint: 5, quarantined: 6}, meta{}
	if err := m2.decode(m.encode()); err != nil || m != m2 {
		t.Errorf("meta %+v %v", m2, err)
	}
	w, w2 := walEnd{prev: at(3, 9), sequence: 4, reason: endFull, files: []fileEnd{{1, 2}, {3, 9}}}, walEnd{}
	if err := w2.decode(w.encode()); err != nil || !reflect.DeepEqual(w, w2) {
		t.Errorf("end %+v %v", w2, err)
	}
	fh, fh2 := frameHeader{
		kind: frameData, flags: 3, gap: 9, at: at(1, 64), sequence: 3, synced: at(1, 2), log: topic(1, 2), epoch: -1, first: 1,
		last: 4, maxTime: -1, batches: 1, length: 61, crc: 5,
	}, frameHeader{}
	raw := make([]byte, frameHeaderLen)
	fh.encode(raw)
	if err := fh2.decode(raw); err != nil || fh != fh2 {
		t.Errorf("frame %+v %v", fh2, err)
	}
	k := offsetKey(nil, keyEntry, topic(3, 4), 1<<40)
	if id, o, err := decodeOffsetKey(k); err != nil || id != topic(3, 4) || o != 1<<40 {
		t.Errorf("key %v %d %v", id, o, err)
	}
	s, s2 := logState{epochs: epochTable{{1, 2}, {3, 4}}}, logState{}
	p := s.ownProducers().get(kafkaproto.ProducerID(9))
	p.written = producerData{epoch: 2, n: 1, coordinatorEpoch: 3, lastTime: 4, txnStart: 5}
	p.written.batches[0] = batchMeta{lastSeq: 1, delta: 0, last: 6, time: 7}
	if err := s2.decode(s.encode()); err != nil || s2.producers().byID[9].assigned != p.written || len(s2.epochs) != 2 {
		t.Errorf("state %+v %v", s2, err)
	}
}
