package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetsOptions shape CommitOffsets and FetchOffsets: many groups without members, each with one committed offset.
type OffsetsOptions struct {
	Target
	Groups      int           // default 10,000
	Prefix      string        // of the names of groups; default "bench-group"
	Connections int           // to each coordinator, each with one request at a time; default 16
	Batch       int           // groups in one OffsetFetch; default 100
	Timeout     time.Duration // until all is done; default 1 minute
}

// maxOffsetGroups keeps a slip of the finger from filling a cluster.
const maxOffsetGroups = 10_000_000

func (o *OffsetsOptions) check() error {
	if err := o.Target.check(); err != nil {
		return err
	}
	setDefault(&o.Groups, 10_000)
	setDefault(&o.Connections, 16)
	setDefault(&o.Batch, 100)
	if o.Prefix == "" {
		o.Prefix = "bench-group"
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	switch {
	case o.Groups < 0 || o.Groups > maxOffsetGroups:
		return fmt.Errorf("%d groups: allowed are up to %d", o.Groups, maxOffsetGroups)
	case o.Connections < 0 || o.Connections > maxConnections:
		return fmt.Errorf("%d connections: allowed are 1 to %d", o.Connections, maxConnections)
	case o.Batch < 0:
		return fmt.Errorf("%d groups in a request", o.Batch)
	}
	return nil
}

// offsetOf is what is committed for the i-th group.
func offsetOf(i int) int64 { return int64(i) + 1 }

// OffsetsResult is what CommitOffsets and FetchOffsets found.
type OffsetsResult struct {
	Kind        string   `json:"kind"` // groups-commit, groups-fetch
	Groups      int      `json:"groups"`
	Connections int      `json:"connections"`
	FindSeconds float64  `json:"findCoordinatorsSeconds"`
	Seconds     float64  `json:"seconds"` // all of it: finding coordinators, waiting until they have loaded, asking
	Requests    int64    `json:"requests"`
	Retries     int64    `json:"retries"` // answers that said to come again, connections that broke
	Done        int      `json:"done"`    // groups whose offset was committed, or came back as it was committed
	Missing     int      `json:"missing"` // fetch: groups without an offset
	Wrong       int      `json:"wrong"`   // fetch: groups with another offset
	Latency     *Latency `json:"latency,omitempty"`
	Broker      *Process `json:"broker,omitempty"` // with a PID; CPU a record is CPU a group
	Driver      *Process `json:"driver,omitempty"`
}

// CommitOffsets commits one offset for each group.
func CommitOffsets(ctx context.Context, o OffsetsOptions) (*OffsetsResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if _, err := prepare(ctx, o.Target); err != nil {
		return nil, err
	}
	l := &offsetsLoad{o: o, r: &OffsetsResult{Kind: "groups-commit"}, latency: newLaneLatency()}
	l.ask = func(ctx context.Context, c *conn, groups []int) error {
		err := commit(ctx, c, l.name(groups[0]), o.Topic, offsetOf(groups[0]))
		if err == nil {
			l.count(1, 0, 0)
		}
		return err
	}
	l.o.Batch = 1 // a request commits for one group
	return l.run(ctx)
}

// FetchOffsets fetches the offset of each group and compares it with what CommitOffsets committed. It counts from the
// moment it is called, so called while a broker starts it says how long its users wait.
func FetchOffsets(ctx context.Context, o OffsetsOptions) (*OffsetsResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	l := &offsetsLoad{o: o, r: &OffsetsResult{Kind: "groups-fetch"}, latency: newLaneLatency()}
	l.ask = l.fetch
	return l.run(ctx)
}

type offsetsLoad struct {
	o       OffsetsOptions
	ask     func(ctx context.Context, c *conn, groups []int) error
	latency laneLatency

	mu    sync.Mutex // guards what stands below
	r     *OffsetsResult
	first error // that ended it
}

func (l *offsetsLoad) name(i int) string { return fmt.Sprintf("%s-%d", l.o.Prefix, i) }

func (l *offsetsLoad) count(done, missing, wrong int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.r.Done, l.r.Missing, l.r.Wrong = l.r.Done+done, l.r.Missing+missing, l.r.Wrong+wrong
}

func (l *offsetsLoad) run(ctx context.Context) (*OffsetsResult, error) {
	ctx, cancel := context.WithTimeout(ctx, l.o.Timeout)
	defer cancel()
	meter, err := startMeter(l.o.PIDs)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	names := make([]string, l.o.Groups)
	for i := range names {
		names[i] = l.name(i)
	}
	coords, err := findCoordinators(ctx, l.o.Target, names)
	if err != nil {
		return nil, err
	}
	defer coords.close()
	l.r.Groups, l.r.FindSeconds = l.o.Groups, time.Since(begun).Seconds()
	l.spread(ctx, coords)
	took := time.Since(begun)
	l.r.Seconds, l.r.Latency, l.r.Requests = took.Seconds(), l.latency.read("request to its answer"), l.latency.count.Load()
	sum := &Result{Records: int64(l.r.Done)}
	err = meter.read(sum, took)
	l.r.Broker, l.r.Driver = sum.Broker, sum.Driver
	if l.first == nil && l.r.Done < l.o.Groups {
		l.first = fmt.Errorf("%d of %d groups have the offset that belongs to them, %d have none, %d another", l.r.Done, l.o.Groups, l.r.Missing, l.r.Wrong)
	}
	return l.r, errors.Join(l.first, err)
}

// spread gives each connection its share of the groups of one coordinator, and waits for all.
func (l *offsetsLoad) spread(ctx context.Context, coords *coordinators) {
	byAddr := map[string][]int{}
	for i := range l.o.Groups {
		addr := coords.address(l.name(i))
		byAddr[addr] = append(byAddr[addr], i)
	}
	var all sync.WaitGroup
	for addr, groups := range byAddr {
		work := make(chan []int, len(groups)/l.o.Batch+1)
		for part := range slices.Chunk(groups, l.o.Batch) {
			work <- part
		}
		close(work)
		for range min(l.o.Connections, len(work)) {
			l.r.Connections++
			all.Go(func() { l.lane(ctx, addr, work) })
		}
	}
	all.Wait()
}

func (l *offsetsLoad) lane(ctx context.Context, addr string, work <-chan []int) {
	var c *conn
	defer func() {
		if c != nil {
			_ = c.nc.Close()
		}
	}()
	for part := range work {
		for {
			err := ctx.Err()
			if err == nil && c == nil {
				c, err = dial(ctx, addr)
			}
			if err == nil {
				from := time.Now()
				err = l.ask(ctx, c, part)
				l.latency.note(time.Since(from), err == nil)
			}
			if err == nil {
				break
			}
			if c = l.failed(ctx, c, err); ctx.Err() != nil || l.over() {
				return
			}
		}
	}
}

// failed decides whether the connection is of any more use, and waits a little. Errors of the network and those that
// Kafka calls retriable are tried again until the time is over.
func (l *offsetsLoad) failed(ctx context.Context, c *conn, err error) *conn {
	var code *kerr.Error
	known := errors.As(err, &code)
	l.mu.Lock()
	l.r.Retries++
	if l.first == nil && (ctx.Err() != nil || known && !code.Retriable) {
		l.first = err
	}
	l.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
	if known {
		return c
	}
	if c != nil {
		_ = c.nc.Close()
	}
	return nil
}

func (l *offsetsLoad) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first != nil
}

// fetchOffsetsVersion is the newest version that names topics by name; from 8 on a request may ask for many groups.
const fetchOffsetsVersion = 9

func (l *offsetsLoad) fetch(ctx context.Context, c *conn, groups []int) error {
	version, err := c.version(int16(kmsg.OffsetFetch), fetchOffsetsVersion)
	if err != nil {
		return err
	}
	if version < 8 {
		return fmt.Errorf("the broker serves OffsetFetch only up to version %d, which asks for one group at a time", version)
	}
	req, resp := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrOffsetFetchResponse()
	req.Version = version
	want := map[string]int64{}
	for _, i := range groups {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = l.o.Topic, []int32{0}
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.Topics = l.name(i), append(g.Topics, t)
		req.Groups = append(req.Groups, g)
		want[g.Group] = offsetOf(i)
	}
	if err := c.nc.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.call(req, resp); err != nil {
		return err
	}
	return l.compare(resp, want)
}

// compare counts only if no group's answer is an error, because all are asked for again then.
func (l *offsetsLoad) compare(resp *kmsg.OffsetFetchResponse, want map[string]int64) error {
	done, missing, wrong := 0, 0, 0
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // which has no offsets
			return fmt.Errorf("offsets of %s: %w", g.Group, err)
		}
		offset := int64(-1)
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("offsets of %s: %w", g.Group, err)
				}
				offset = p.Offset
			}
		}
		switch offset {
		case want[g.Group]:
			done++
		case -1:
			missing++
		default:
			wrong++
		}
	}
	l.count(done, missing+len(want)-len(resp.Groups), wrong)
	return nil
}

// DeleteGroups deletes what CommitOffsets left.
func DeleteGroups(ctx context.Context, o OffsetsOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	names := make([]string, o.Groups)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", o.Prefix, i)
	}
	coords, err := findCoordinators(ctx, o.Target, names)
	if err != nil {
		return err
	}
	defer coords.close()
	return coords.forget(o.Timeout)
}
