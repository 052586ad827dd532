package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// plainEndToEnd sends each record in a request of its own and fetches with a request that waits, on two connections to each leader.
// A client as programs use it hands a record through several goroutines on both ways, which takes longer than a broker does.
type plainEndToEnd struct {
	acks      int16
	size      int // of a value
	producers []*plainProducer
	consumers []*consumeLane
	next      int
}

// plainProducer is the connection to one leader. send is called by one goroutine; another reads answers.
type plainProducer struct {
	conn    *conn
	version int16
	errorAt int
	frames  []produceFrame // one a partition, taken in turn
	next    int
	out     []byte

	mu      sync.Mutex
	waiting []func(error) // in the order of their requests
	empty   sync.Cond     // on mu
	failed  error
}

// fetchWait is how long a fetch of a consumer that has nothing to read waits.
const fetchWait = 500 * time.Millisecond

func newPlainEndToEnd(ctx context.Context, o *EndToEndOptions, top *topology) (e2eClient, error) {
	batch, err := encodeBatch(1, o.RecordSize, "none", time.Now())
	if err != nil {
		return nil, err
	}
	c := &plainEndToEnd{acks: o.Acks, size: o.RecordSize}
	load := &consumeLoad{top: top, stop: make(chan struct{}), o: ConsumeOptions{
		MaxBytes: 50 << 20, PartitionMax: 1 << 20, MinBytes: 1, MaxWait: fetchWait,
	}}
	for _, share := range top.lanes(1, true) {
		err := c.addProducer(ctx, share, top.topic, batch)
		if err == nil {
			err = c.addConsumer(ctx, share, load)
		}
		if err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

func (c *plainEndToEnd) addProducer(ctx context.Context, share lane, topic string, batch []byte) error {
	nc, err := dial(ctx, share.addr)
	if err != nil {
		return err
	}
	p := &plainProducer{conn: nc}
	p.empty.L = &p.mu
	c.producers = append(c.producers, p)
	if p.version, err = nc.version(int16(kmsg.Produce), produceVersion); err != nil {
		return err
	}
	p.errorAt = produceErrorAt(p.version, topic)
	for _, partition := range share.partitions {
		p.frames = append(p.frames, newProduceFrame(p.version, topic, partition, c.acks, slices.Clone(batch)))
	}
	if c.acks != 0 {
		go p.readAnswers()
	}
	return nil
}

func (c *plainEndToEnd) addConsumer(ctx context.Context, share lane, load *consumeLoad) error {
	nc, err := dial(ctx, share.addr)
	if err != nil {
		return err
	}
	l := &consumeLane{load: load, conn: nc, all: share.partitions, offsets: map[int32]int64{}}
	c.consumers = append(c.consumers, l)
	for _, p := range share.partitions {
		l.offsets[p] = load.top.ends[p]
	}
	l.version, err = nc.version(int16(kmsg.Fetch), fetchVersion)
	return err
}

func (c *plainEndToEnd) close() {
	for _, p := range c.producers {
		_ = p.conn.nc.Close()
	}
	for _, l := range c.consumers {
		_ = l.conn.nc.Close()
	}
}

// send goes from leader to leader.
func (c *plainEndToEnd) send(value []byte, done func(error)) {
	p := c.producers[c.next%len(c.producers)]
	c.next++
	p.send(value, c.acks != 0, done)
}

func (p *plainProducer) send(value []byte, answered bool, done func(error)) {
	f := p.frames[p.next%len(p.frames)]
	p.next++
	copy(plainValue(f.batch, len(value)), value)
	binary.BigEndian.PutUint32(f.batch[17:], crc32.Checksum(f.batch[21:], castagnoli))
	p.out = append(append(f.appendHead(p.out[:0], int32(p.next)), f.batch...), f.tail...)
	p.mu.Lock()
	err := p.failed
	if err == nil && answered {
		p.waiting = append(p.waiting, done) // before the bytes leave
	}
	p.mu.Unlock()
	if err == nil {
		if _, err = p.conn.nc.Write(p.out); err != nil && answered {
			p.fail(err) // done among others
			return
		}
	}
	if err != nil || !answered {
		done(err)
	}
}

// plainValue is the value in a batch of one record of size bytes, which a byte that counts headers follows.
func plainValue(batch []byte, size int) []byte { return batch[len(batch)-1-size : len(batch)-1] }

// readAnswers hands answers on, until the connection ends.
func (p *plainProducer) readAnswers() {
	for {
		body, err := p.conn.readFrame()
		if err != nil {
			p.fail(err)
			return
		}
		if at := p.errorAt; len(body) < at+2 || body[at] != 0 || body[at+1] != 0 {
			err = produceError(p.version, body)
		}
		p.mu.Lock()
		var done func(error)
		if len(p.waiting) > 0 {
			done, p.waiting = p.waiting[0], p.waiting[1:]
		}
		if len(p.waiting) == 0 {
			p.empty.Broadcast()
		}
		p.mu.Unlock()
		if done == nil {
			p.fail(errors.New("an answer to nothing"))
			return
		}
		done(err)
	}
}

// fail ends the connection with all that waits for an answer.
func (p *plainProducer) fail(err error) {
	_ = p.conn.nc.Close()
	p.mu.Lock()
	waiting := p.waiting
	p.waiting, p.failed = nil, err
	p.empty.Broadcast()
	p.mu.Unlock()
	for _, done := range waiting {
		done(err)
	}
}

func (c *plainEndToEnd) flush(ctx context.Context) error {
	for _, p := range c.producers {
		stop := context.AfterFunc(ctx, func() { p.fail(ctx.Err()) })
		p.mu.Lock()
		for len(p.waiting) > 0 {
			p.empty.Wait()
		}
		p.mu.Unlock()
		stop()
	}
	return ctx.Err()
}

func (c *plainEndToEnd) consume(ctx context.Context, take func(value []byte), failed func(error)) {
	stop := context.AfterFunc(ctx, func() {
		for _, l := range c.consumers {
			_ = l.conn.nc.SetReadDeadline(time.Now())
		}
	})
	defer stop()
	var mu sync.Mutex // take is called by one at a time
	var lanes sync.WaitGroup
	for _, l := range c.consumers {
		lanes.Go(func() {
			for {
				err := l.fetchValues(c.size, func(value []byte) {
					mu.Lock()
					take(value)
					mu.Unlock()
				})
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					failed(err)
					return
				}
			}
		})
	}
	lanes.Wait()
}

// fetchValues gives take the values of what plainProducers have sent, of size bytes, and passes over all else.
func (l *consumeLane) fetchValues(size int, take func(value []byte)) error {
	resp, err := l.ask()
	if err != nil {
		return err
	}
	return eachFetched(resp, func(p *kmsg.FetchResponseTopicPartition) error {
		for batch, rest := cutBatch(p.RecordBatches); batch != nil; batch, rest = cutBatch(rest) {
			if batchRecords(batch) == 1 && len(batch) > batchHeader+size {
				take(plainValue(batch, size))
			}
			l.offsets[p.Partition] = batchNext(batch)
		}
		return nil
	})
}
