package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// requestTime bounds one request.
const requestTime = 60 * time.Second

var (
	errUnsupported  = errors.New("the library has no such call")
	errNotInstalled = errors.New("not installed")
)

// request is one line of input; each operation uses some of the fields.
type request struct {
	ID             int64             `json:"id"`
	Op             string            `json:"op"`
	Topic          string            `json:"topic"`
	Topics         []string          `json:"topics"`
	Partition      *int32            `json:"partition"`
	Partitions     json.RawMessage   `json:"partitions"` // a count or a list
	Replicas       int16             `json:"replicas"`
	Configs        map[string]string `json:"configs"`
	Codec          string            `json:"codec"`
	Idempotent     *bool             `json:"idempotent"`
	Records        []record          `json:"records"`
	Path           string            `json:"path"`
	From           json.RawMessage   `json:"from"`
	Reader         int               `json:"reader"`
	Max            int               `json:"max"`
	TimeoutMillis  int               `json:"timeout_ms"`
	Ends           []int64           `json:"ends"`
	Group          string            `json:"group"`
	InstanceID     *string           `json:"instance_id"`
	SessionTimeout int               `json:"session_timeout_ms"`
	Assignor       *string           `json:"assignor"`
	ClientID       *string           `json:"client_id"`
	Time           int64             `json:"time"`
	Set            map[string]string `json:"set"`
	Delete         []string          `json:"delete"`
	Offsets        map[int32]int64   `json:"offsets"`
	Name           string            `json:"name"`
	Rate           int               `json:"rate"`
	RequestTimeout int               `json:"request_timeout_ms"`
}

type record struct {
	Partition *int32   `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp *int64   `json:"timestamp"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

// header is [key, value] in JSON.
type header struct {
	Key   string
	Value []byte
}

func (h header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Key, h.Value}) }

func (h *header) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&h.Key, &h.Value})
}

type fields = map[string]any

// library is what a driver does with one client library. The context ends a request that takes too long.
type library interface {
	createTopic(ctx context.Context, topic string, partitions int32, replicas int16, configs map[string]string) error
	deleteTopic(ctx context.Context, topic string) error
	produce(ctx context.Context, p producing, records []record) ([][2]int64, error)
	openReader(ctx context.Context, topic string, partition int32, from start) (reader, int64, error)
	join(ctx context.Context, j joining) (member, error)
	committed(ctx context.Context, group, topic string, partitions []int32) ([]*int64, error)
	offsetForTime(ctx context.Context, topic string, partition int32, ms int64) (*int64, error)
	describeConfig(ctx context.Context, topic string) (map[string]string, error)
	alterConfig(ctx context.Context, topic string, set map[string]string, del []string) error
	deleteRecords(ctx context.Context, topic string, offsets map[int32]int64) (map[int32]int64, error)
	listGroups(ctx context.Context) ([]string, error)
	describeGroup(ctx context.Context, group string) (state string, clients []string, err error)
	close() error
}

// producing says how records are sent.
type producing struct {
	topic      string
	codec      string
	idempotent *bool
}

// start is where a reader starts: at an offset, a time, or an end of the log.
type start struct {
	at     string // start, end, offset, time
	offset int64  // or the time in ms
}

// reader reads one partition in the background.
type reader interface {
	// read gives up to limit records, all there are when ctx ends.
	read(ctx context.Context, limit int) ([]record, error)
	close() error
}

type joining struct {
	group    string
	topics   []string
	instance string // "" for a dynamic member
	session  time.Duration
	assignor string // "" for the default
	clientID string
}

// heartbeat is how often the member sends one: it hears of a rebalance with its next one.
func (j joining) heartbeat() time.Duration { return min(j.session/3, 3*time.Second) }

// member is a membership in a group.
type member interface {
	state() (assignment []topicPartition, records []record, rebalances int, lastErr error)
	commit(ctx context.Context) ([]committedOffset, error)
	leave() error
}

// topicPartition is [topic, partition] in JSON.
type topicPartition struct {
	topic     string
	partition int32
}

func (tp topicPartition) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{tp.topic, tp.partition})
}

// committedOffset is [topic, partition, offset] in JSON.
type committedOffset struct {
	topicPartition
	offset int64
}

func (c committedOffset) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{c.topic, c.partition, c.offset})
}

var (
	readers    = map[int]reader{}
	lastReader int
	membership member
)

func answerTo(lib library, req *request) fields {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	answer, err := do(ctx, lib, req)
	if answer == nil || err != nil {
		answer = fields{}
	}
	answer["id"], answer["ok"] = req.ID, err == nil
	if err != nil {
		answer["error"] = err.Error()
		if errors.Is(err, errUnsupported) {
			answer["unsupported"] = true
		}
	}
	return answer
}

func do(ctx context.Context, lib library, req *request) (fields, error) {
	switch req.Op {
	case "quit":
		return nil, nil
	case "create_topic":
		var n int32
		if err := json.Unmarshal(req.Partitions, &n); err != nil {
			return nil, err
		}
		return nil, lib.createTopic(ctx, req.Topic, n, req.Replicas, req.Configs)
	case "delete_topic":
		return nil, lib.deleteTopic(ctx, req.Topic)
	case "produce":
		offsets, err := lib.produce(ctx, producing{req.Topic, req.Codec, req.Idempotent}, req.Records)
		return fields{"offsets": offsets}, err
	case "produce_file":
		n, err := produceFile(ctx, lib, req)
		return fields{"count": n}, err
	case "open_reader", "read", "close_reader":
		return doReader(ctx, lib, req)
	case "consume_file":
		n, err := consumeFile(ctx, lib, req)
		return fields{"count": n}, err
	case "join", "member", "member_commit", "leave":
		return doMember(ctx, lib, req)
	case "load", "load_stop":
		return doLoad(ctx, lib, req)
	}
	return doAdmin(ctx, lib, req)
}

func doAdmin(ctx context.Context, lib library, req *request) (fields, error) {
	switch req.Op {
	case "committed":
		var partitions []int32
		if err := json.Unmarshal(req.Partitions, &partitions); err != nil {
			return nil, err
		}
		offsets, err := lib.committed(ctx, req.Group, req.Topic, partitions)
		return fields{"offsets": offsets}, err
	case "offset_for_time":
		offset, err := lib.offsetForTime(ctx, req.Topic, *req.Partition, req.Time)
		return fields{"offset": offset}, err
	case "describe_config":
		configs, err := lib.describeConfig(ctx, req.Topic)
		return fields{"configs": configs}, err
	case "alter_config":
		return nil, lib.alterConfig(ctx, req.Topic, req.Set, req.Delete)
	case "delete_records":
		low, err := lib.deleteRecords(ctx, req.Topic, req.Offsets)
		return fields{"low": low}, err
	case "list_groups":
		groups, err := lib.listGroups(ctx)
		return fields{"groups": groups}, err
	case "describe_group":
		state, members, err := lib.describeGroup(ctx, req.Group)
		return fields{"state": state, "members": members}, err
	}
	return nil, fmt.Errorf("no operation %q", req.Op)
}

func doReader(ctx context.Context, lib library, req *request) (fields, error) {
	switch req.Op {
	case "open_reader":
		from, err := parseStart(req.From)
		if err != nil {
			return nil, err
		}
		r, position, err := lib.openReader(ctx, req.Topic, *req.Partition, from)
		if err != nil {
			return nil, err
		}
		lastReader++
		readers[lastReader] = r
		return fields{"reader": lastReader, "position": position}, nil
	}
	r, ok := readers[req.Reader]
	if !ok {
		return nil, fmt.Errorf("no reader %d", req.Reader)
	}
	if req.Op == "close_reader" {
		delete(readers, req.Reader)
		return nil, r.close()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(req.TimeoutMillis)*time.Millisecond)
	defer cancel()
	records, err := r.read(ctx, req.Max)
	if records == nil {
		records = []record{}
	}
	return fields{"records": records}, err
}

func parseStart(raw json.RawMessage) (start, error) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return start{at: s}, nil
	}
	var o struct{ Offset, Time *int64 }
	if err := json.Unmarshal(raw, &o); err != nil {
		return start{}, err
	}
	switch {
	case o.Offset != nil:
		return start{"offset", *o.Offset}, nil
	case o.Time != nil:
		return start{"time", *o.Time}, nil
	}
	return start{}, fmt.Errorf("no start in %s", raw)
}

func doMember(ctx context.Context, lib library, req *request) (fields, error) {
	if req.Op == "join" {
		if membership != nil {
			return nil, errors.New("this driver is a member already")
		}
		j := joining{
			group: req.Group, topics: req.Topics, instance: value(req.InstanceID), assignor: value(req.Assignor),
			session: time.Duration(req.SessionTimeout) * time.Millisecond, clientID: value(req.ClientID),
		}
		m, err := lib.join(ctx, j)
		if err == nil {
			membership = m
		}
		return nil, err
	}
	if membership == nil {
		return nil, errors.New("not a member")
	}
	switch req.Op {
	case "member":
		assignment, records, rebalances, lastErr := membership.state()
		answer := fields{"assignment": orEmpty(assignment), "records": orEmpty(records), "rebalances": rebalances, "error": nil}
		if lastErr != nil {
			answer["error"] = lastErr.Error()
		}
		return answer, nil
	case "member_commit":
		offsets, err := membership.commit(ctx)
		return fields{"offsets": orEmpty(offsets)}, err
	}
	m := membership
	membership = nil
	return nil, m.leave()
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// produceFile sends each line, a few thousand per call of the library.
func produceFile(ctx context.Context, lib library, req *request) (int, error) {
	if f, ok := lib.(interface {
		produceFile(ctx context.Context, p producing, path string, partition *int32) (int, error)
	}); ok {
		return f.produceFile(ctx, producing{req.Topic, req.Codec, req.Idempotent}, req.Path, req.Partition)
	}
	text, err := os.ReadFile(req.Path)
	if err != nil {
		return 0, err
	}
	const atOnce = 5000
	count := 0
	var batch []record
	for line := range bytes.Lines(text) {
		batch = append(batch, record{Partition: req.Partition, Value: bytes.TrimSuffix(line, []byte("\n"))})
		if len(batch) == atOnce {
			if _, err := lib.produce(ctx, producing{req.Topic, req.Codec, req.Idempotent}, batch); err != nil {
				return count, err
			}
			count, batch = count+len(batch), batch[:0]
		}
	}
	if len(batch) > 0 {
		if _, err := lib.produce(ctx, producing{req.Topic, req.Codec, req.Idempotent}, batch); err != nil {
			return count, err
		}
	}
	return count + len(batch), nil
}

// consumeFile writes what a library's readers of all partitions give, until all ends are reached.
func consumeFile(ctx context.Context, lib library, req *request) (count int, err error) {
	file, err := os.Create(req.Path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	for p, end := range req.Ends {
		n, err := consumePartition(ctx, lib, req.Topic, int32(p), end, out)
		count += n
		if err != nil {
			return count, fmt.Errorf("partition %d: %w", p, err)
		}
	}
	return count, out.Flush()
}

func consumePartition(ctx context.Context, lib library, topic string, p int32, end int64, out *bufio.Writer) (int, error) {
	if end == 0 {
		return 0, nil
	}
	r, _, err := lib.openReader(ctx, topic, p, start{at: "start"})
	if err != nil {
		return 0, err
	}
	defer r.close()
	for n, next := 0, int64(0); ; {
		wait, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		records, err := r.read(wait, int(min(end-next, 10000)))
		cancel()
		if err != nil {
			return n, err
		}
		for _, rec := range records {
			n++
			fmt.Fprintf(out, "%d\t%s\n", p, rec.Value)
			next = rec.Offset + 1
			if next >= end {
				return n, nil
			}
		}
		if err := ctx.Err(); err != nil {
			return n, fmt.Errorf("after %d records: %w", n, err)
		}
	}
}
