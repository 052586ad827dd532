package controller

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
)

// A snapshot is the events that make the image anew from nothing, in batches whose base is the image's LastIndex, each
// behind its length, and a length of 0 at the end, so that a cut is noticed. There is no second format to keep.

const (
	snapshotChunk    = 1000    // events in a batch, about
	maxSnapshotBatch = 1 << 30 // bytes; a topic is never split
)

// WriteSnapshot writes the image.
func (img *Image) WriteSnapshot(w io.Writer) error {
	out := snapshotWriter{w: bufio.NewWriter(w), base: img.lastIndex}
	img.dump(&out)
	out.flush(true)
	out.bytes(binary.AppendUvarint(nil, 0))
	if out.err == nil {
		out.err = out.w.Flush()
	}
	return out.err
}

type snapshotWriter struct {
	w      *bufio.Writer
	base   uint64
	events []Event
	buf    []byte
	err    error
}

func (s *snapshotWriter) add(e Event) { s.events = append(s.events, e) }

// flush writes what has gathered if it is enough, or all of it.
func (s *snapshotWriter) flush(all bool) {
	if len(s.events) < snapshotChunk && !(all && len(s.events) > 0) {
		return
	}
	s.buf = Batch{Base: s.base, Events: s.events}.Encode(s.buf[:0])
	s.events = s.events[:0]
	s.bytes(binary.AppendUvarint(nil, uint64(len(s.buf))))
	s.bytes(s.buf)
}

func (s *snapshotWriter) bytes(b []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
}

func (img *Image) dump(s *snapshotWriter) {
	if img.clusterID != "" {
		s.add(&ClusterCreated{ClusterID: img.clusterID})
	}
	for _, name := range slices.Sorted(maps.Keys(img.features)) {
		s.add(&FeatureChanged{Name: name, Level: img.features[name], Epoch: img.featuresEpoch})
	}
	s.add(&FeatureChanged{Epoch: img.featuresEpoch})
	for b := range img.Brokers() {
		s.add(&BrokerRegistered{Broker: *b})
		s.flush(false)
	}
	s.add(&BrokerUnregistered{ID: -1, Epoch: img.lastBrokerEpoch})
	s.add(&ProducerIDsAllocated{BrokerID: -1, BrokerEpoch: -1, Next: img.nextProducerID})
	for t := range img.Topics() {
		s.add(&TopicCreated{ID: t.ID, Name: t.Name})
		for _, p := range t.Partitions {
			s.add(&PartitionChanged{Topic: t.ID, Partition: *p})
		}
		s.flush(false)
	}
	it := img.configs.Root().Iterator()
	for key, m, ok := it.Next(); ok; key, m, ok = it.Next() {
		r := ConfigResource{Kind: ConfigKind(key[0]), Name: string(key[1:])}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			value := m[name]
			s.add(&ConfigChanged{Resource: r, Key: name, Value: &value})
		}
		s.flush(false)
	}
}

// ReadSnapshot makes an image from what WriteSnapshot wrote. Errors are r's, ErrUnreadable or ErrMisfit.
func ReadSnapshot(r io.Reader) (*Image, error) {
	in := bufio.NewReader(r)
	img := NewImage()
	for {
		n, err := binary.ReadUvarint(in)
		if err != nil || n > maxSnapshotBatch {
			return nil, fmt.Errorf("%w: snapshot: length %d: %v", ErrUnreadable, n, err)
		}
		if n == 0 {
			return img, nil
		}
		data, err := io.ReadAll(io.LimitReader(in, int64(n)))
		if err != nil || uint64(len(data)) < n {
			return nil, fmt.Errorf("%w: snapshot: cut: %v", ErrUnreadable, err)
		}
		b, err := DecodeBatch(data)
		if err != nil {
			return nil, err
		}
		if img, _, err = img.Replay(b.Events); err != nil {
			return nil, err
		}
		img.lastIndex = b.Base
	}
}
