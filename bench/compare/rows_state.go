package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/streambus/streambus/bench"
	"github.com/streambus/streambus/internal/env"
)

// The rows here are about what a broker holds and writes, more than about how fast it is.

const (
	memoryAfter = "RssAnon after it"
	filesOpen   = "open files after it"
	memoryIdle  = "VmRSS idle"
	firstAck    = "exec to first acknowledged record"
	writtenPer  = "bytes written a byte of batches"
	sorted      = "of it copied by compaction"
	readCold    = "reading 20 of the partitions, page cache dropped"
)

// fewPartitions is the side of the same broker with as many partitions as the other rows have.
const fewPartitions = "6 partitions"

var manyPartitions = row{
	name: "partitions", title: "10,000 partitions against 6, `never`, acks=1, 10 x 100 B, the same broker",
	sides: [columns]string{ours: onlySide, beside: fewPartitions}, reference: fewPartitions, warmUps: 1, most: 3,
	round: func(ctx context.Context, u *suite, side string) (values, error) {
		if side == fewPartitions {
			return produceRound(bulkPartitions, small)(ctx, u, onlySide)
		}
		return manyRound(ctx, u)
	},
	figures: []figure{
		{recordsSec, thousands, []goal{atLeast(beside, 0.8, "80%")}},
		{cpuRequest, unit("%.1f µs"), nil},
		{memoryAfter, unit("%.0f MB"), []goal{below(300, "below 300 MB 30 s after the load")}},
		{filesOpen, unit("%.0f"), []goal{below(99, "fewer than 100")}},
	},
}

// manyRound lets the broker rest after the load, while the topic is still there.
func manyRound(ctx context.Context, u *suite) (values, error) {
	topic, r, err := u.onNewTopic(ctx, onlySide, u.plan.many, u.produce(small))
	if err != nil {
		return nil, err
	}
	v := loadValues(r)
	if !u.warms {
		if err := pause(ctx, u.plan.rest); err != nil {
			return nil, err
		}
		pid := u.pool[onlySide].pid()
		memory, err := bench.Memory(pid)
		if err != nil {
			return nil, err
		}
		files, err := bench.OpenFiles(pid)
		if err != nil {
			return nil, err
		}
		v[memoryAfter], v[filesOpen] = mb(memory.Anonymous), float64(files)
	}
	return v, u.remove(ctx, onlySide, topic)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

var idleRow = row{
	name: "idle", title: "a new broker on an empty directory, as it comes",
	sides: [columns]string{ours: "streambus", theirs: "kafka-tidy"},
	round: idleRound,
	figures: []figure{
		{memoryIdle, unit("%.0f MB"), []goal{below(40, "40 MB")}},
		{firstAck, unit("%.0f ms"), []goal{below(200, "200 ms")}},
	},
}

func idleRound(ctx context.Context, u *suite, side string) (v values, err error) {
	b, err := u.start(ctx, side)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop(err != nil)) }()
	_, err = b.load(ctx, "first", 1, func(ctx context.Context, t bench.Target) (*bench.Result, error) {
		return bench.Produce(ctx, bench.ProduceOptions{Target: t, BatchRecords: 1, Acks: -1, Records: 1})
	})
	took := time.Since(b.started)
	if err == nil {
		err = pause(ctx, u.plan.idle)
	}
	if err != nil {
		return nil, err
	}
	memory, err := bench.Memory(b.pid())
	if err != nil {
		return nil, err
	}
	return values{firstAck: float64(took.Microseconds()) / 1e3, memoryIdle: mb(memory.RSS)}, nil
}

var writeBulk = row{
	name: "write-bulk", title: "write amplification, `never`, 1000 x 100 B, 6 partitions",
	sides: [columns]string{ours: onlySide}, most: 1,
	round: func(ctx context.Context, u *suite, side string) (values, error) {
		return u.amplification(ctx, side, bulkPartitions, bulk(1), u.plan.size, nil)
	},
	figures: []figure{
		{writtenPer, unit("%.2f"), []goal{below(1.1, "1.1")}},
		{sorted, unit("%.0f%%"), nil},
	},
}

// partitionsRead are those that are read after compaction.
const partitionsRead = 20

var writeSmall = row{
	name: "write-small", title: "write amplification, `never`, 10 x 100 B over 1,000 partitions, half the size",
	sides: [columns]string{ours: onlySide}, most: 1,
	round: func(ctx context.Context, u *suite, side string) (values, error) {
		return u.amplification(ctx, side, u.plan.spread, small, max(1, u.plan.size/2), u.readCold)
	},
	figures: []figure{
		{writtenPer, unit("%.2f"), []goal{below(2.4, "2.4")}},
		{sorted, unit("%.0f%%"), nil},
		{readCold, unit("%.0f MB/s"), []goal{above(100, "100 MB/s")}},
	},
}

// amplification has a new broker take a load and waits until it writes no more. after is called with the broker then.
func (u *suite) amplification(ctx context.Context, side string, partitions int32, o bench.ProduceOptions, bytes int64,
	after func(context.Context, *running, string) (float64, error),
) (v values, err error) {
	b, err := u.start(ctx, side)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.stop(err != nil)); syscall.Sync() }()
	before, err := bench.Written(b.pid())
	if err != nil {
		return nil, err
	}
	const topic = "load"
	r, err := b.load(ctx, topic, partitions, write(o, bytes))
	if err != nil {
		return nil, err
	}
	written, err := b.settled(ctx, u.plan.quiet)
	if err != nil {
		return nil, err
	}
	copied, err := b.metric(ctx, "streambus_log_compacted_bytes_total")
	if err != nil {
		return nil, err
	}
	accepted := float64(r.Requests * int64(r.BatchBytes))
	v = values{writtenPer: float64(written-before) / accepted, sorted: 100 * copied / accepted}
	if after != nil {
		v[readCold], err = after(ctx, b, topic)
	}
	return v, err
}

// quietBytes may be written while nothing goes on: the broker's own records of its state.
const quietBytes = 1 << 20

// settled waits until a broker has written next to nothing for so long, and returns what it has written so far.
func (r *running) settled(ctx context.Context, quiet time.Duration) (int64, error) {
	last, err := bench.Written(r.pid())
	for err == nil {
		if err := pause(ctx, quiet); err != nil {
			return 0, err
		}
		now, err := bench.Written(r.pid())
		if err != nil || now-last <= quietBytes {
			return now, err
		}
		last = now
	}
	return 0, err
}

// metric sums up the samples of one name on a StreamBus broker's /metrics page.
func (r *running) metric(ctx context.Context, name string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.place.address(2)+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	page, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer page.Body.Close()
	found := false
	lines := bufio.NewScanner(page.Body)
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, name); !ok || !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "{") {
			continue
		}
		x, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+x, true
	}
	if err := lines.Err(); err != nil || !found {
		return 0, errors.Join(fmt.Errorf("no metric %s", name), err)
	}
	return sum, nil
}

// readCold reads some partitions from the disk, and returns MB/s of batches.
func (u *suite) readCold(ctx context.Context, b *running, topic string) (float64, error) {
	syscall.Sync()
	if err := dropCaches(filepath.Join(b.place.dir, "data")); err != nil {
		return 0, err
	}
	var only []int32
	for i := range min(partitionsRead, u.plan.spread) {
		only = append(only, i*(u.plan.spread/min(partitionsRead, u.plan.spread)))
	}
	r, err := b.load(ctx, topic, 0, func(ctx context.Context, t bench.Target) (*bench.Result, error) {
		return bench.Consume(ctx, bench.ConsumeOptions{Target: t, Connections: 1, Only: only})
	})
	if err != nil {
		return 0, err
	}
	return r.BytesSec / 1e6, nil
}

// dropCaches has the kernel forget what it holds of the files below dir.
func dropCaches(dir string) error {
	files := env.NewOSFS()
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		f, err := files.Open(name)
		if err != nil {
			return ignoreGone(err)
		}
		return errors.Join(f.DropCache(), f.Close())
	})
}
