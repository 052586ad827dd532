package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topology is where the partitions of the topic are.
type topology struct {
	topic      string
	partitions int
	leaders    map[string][]int32 // address -> partitions it leads
	starts     map[int32]int64
	ends       map[int32]int64
}

// settleTimeout is how long a topic may take until all its partitions answer.
const settleTimeout = 30 * time.Second

// prepare makes the topic if it is missing and waits until every partition has a leader that answers: an error in the
// first moments of a topic is no part of any measurement.
func prepare(ctx context.Context, t Target) (*topology, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(t.Bootstrap...), kgo.ClientID(clientID), kgo.DialTimeout(5*time.Second),
		kgo.MetadataMinAge(10*time.Millisecond)) // or the topic that was just made stays unknown for seconds
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return nil, fmt.Errorf("no broker answers at %v: %w", t.Bootstrap, err)
	}
	admin := kadm.NewClient(client)
	if err := createTopic(ctx, admin, t); err != nil {
		return nil, err
	}
	for {
		top, err := locate(ctx, admin, t)
		if err == nil || !kerr.IsRetriable(err) {
			return top, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("topic %s does not get ready: %w", t.Topic, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func createTopic(ctx context.Context, admin *kadm.Client, t Target) error {
	details, err := admin.ListTopics(ctx, t.Topic)
	if err != nil {
		return fmt.Errorf("look for topic %s: %w", t.Topic, err)
	}
	if details.Has(t.Topic) {
		return nil
	}
	configs := map[string]*string{}
	for k, v := range t.Configs {
		configs[k] = &v
	}
	_, err = admin.CreateTopic(ctx, t.Partitions, t.ReplicationFactor, configs, t.Topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", t.Topic, err)
	}
	return nil
}

func locate(ctx context.Context, admin *kadm.Client, t Target) (*topology, error) {
	meta, err := admin.Metadata(ctx, t.Topic)
	if err != nil {
		return nil, err
	}
	detail := meta.Topics[t.Topic]
	if detail.Err != nil {
		return nil, detail.Err
	}
	addresses := map[int32]string{}
	for _, b := range meta.Brokers {
		addresses[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	top := &topology{topic: t.Topic, partitions: len(detail.Partitions), leaders: map[string][]int32{}}
	for _, p := range detail.Partitions.Sorted() {
		addr, ok := addresses[p.Leader]
		if !ok {
			return nil, kerr.LeaderNotAvailable
		}
		top.leaders[addr] = append(top.leaders[addr], p.Partition)
	}
	if len(top.leaders) == 0 {
		return nil, kerr.LeaderNotAvailable
	}
	return top, top.offsets(ctx, admin)
}

func (t *topology) offsets(ctx context.Context, admin *kadm.Client) error {
	starts, err := admin.ListStartOffsets(ctx, t.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return err
	}
	ends, err := admin.ListEndOffsets(ctx, t.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	t.starts, t.ends = map[int32]int64{}, map[int32]int64{}
	starts.Each(func(o kadm.ListedOffset) { t.starts[o.Partition] = o.Offset })
	ends.Each(func(o kadm.ListedOffset) { t.ends[o.Partition] = o.Offset })
	return nil
}

// keep leaves only these partitions; none named: all.
func (t *topology) keep(only []int32) error {
	if len(only) == 0 {
		return nil
	}
	found := 0
	for addr, list := range t.leaders {
		list = slices.DeleteFunc(list, func(p int32) bool { return !slices.Contains(only, p) })
		found += len(list)
		t.leaders[addr] = list
	}
	if found < len(only) {
		return fmt.Errorf("topic %s has %d of the %d partitions to be read", t.topic, found, len(only))
	}
	return nil
}

// lane is one connection's share of the topic.
type lane struct {
	addr       string
	partitions []int32
}

// lanes gives each leader n connections that share its partitions. With more connections than partitions each gets
// one, so that several write to the same partition, unless exclusive is asked for.
func (t *topology) lanes(n int, exclusive bool) []lane {
	var all []lane
	addrs := make([]string, 0, len(t.leaders))
	for addr := range t.leaders {
		addrs = append(addrs, addr)
	}
	slices.Sort(addrs)
	for _, addr := range addrs {
		partitions := t.leaders[addr]
		for i := range n {
			if i >= len(partitions) {
				if !exclusive {
					all = append(all, lane{addr, []int32{partitions[i%len(partitions)]}})
				}
				continue
			}
			l := lane{addr: addr}
			for j := i; j < len(partitions); j += n {
				l.partitions = append(l.partitions, partitions[j])
			}
			all = append(all, l)
		}
	}
	return all
}
