package debug

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/cli"
)

// anyBroker is for requests that every broker answers.
const anyBroker = -1

// destination is where a request goes, and why.
type destination struct {
	broker  int32 // anyBroker if it doesn't matter
	address string
	why     string
}

// route finds the broker for req: the one that was named, else where a client would send it.
func route(ctx context.Context, t cli.Target, req kmsg.Request, broker *int32) (destination, error) {
	seeds, err := t.Addresses()
	if err != nil {
		return destination{}, err
	}
	role := roleOf(req)
	if broker == nil && role == nil {
		return destination{broker: anyBroker, address: seeds[0], why: "any broker"}, nil
	}
	client, err := t.Connect(ctx, kgo.RetryTimeout(t.Timeout))
	if err != nil {
		return destination{}, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	d := destination{why: "as asked"}
	if broker != nil {
		d.broker = *broker
	} else if d.broker, d.why, err = role(ctx, admin); err != nil {
		return d, fmt.Errorf("where to send %s: %w (name a broker with --broker)", kmsg.NameForKey(req.Key()), err)
	}
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return d, err
	}
	i := slices.IndexFunc(brokers, func(b kadm.BrokerDetail) bool { return b.NodeID == d.broker })
	if i < 0 {
		return d, fmt.Errorf("there is no broker %d (there: %v)", d.broker, brokers.NodeIDs())
	}
	d.address = net.JoinHostPort(brokers[i].Host, strconv.Itoa(int(brokers[i].Port)))
	return d, nil
}

// finder asks the cluster for the broker with a role.
type finder func(ctx context.Context, admin *kadm.Client) (broker int32, why string, err error)

// roleOf says whom req is for; nil if any broker will do. What is named first decides: this package splits no request.
func roleOf(req kmsg.Request) finder {
	v := reflect.ValueOf(req).Elem()
	switch req.(type) {
	case kmsg.GroupCoordinatorRequest:
		if group := firstString(v, "Group", "Groups", "GroupID"); group != "" {
			return coordinator("group", group)
		}
	case kmsg.TxnCoordinatorRequest:
		if id := firstString(v, "TransactionalID"); id != "" {
			return coordinator("transaction", id)
		}
	case kmsg.AdminRequest:
		return controller
	case *kmsg.DescribeConfigsRequest, *kmsg.AlterConfigsRequest, *kmsg.IncrementalAlterConfigsRequest:
		return brokerOfConfigs(v)
	case *kmsg.ProduceRequest, *kmsg.FetchRequest, *kmsg.ListOffsetsRequest, *kmsg.DeleteRecordsRequest,
		*kmsg.OffsetForLeaderEpochRequest, *kmsg.DescribeProducersRequest, *kmsg.ShareFetchRequest, *kmsg.ShareAcknowledgeRequest:
		return leader(v)
	case *kmsg.ConsumerGroupDescribeRequest:
		if group := firstString(v, "Groups"); group != "" {
			return coordinator("group", group)
		}
	case *kmsg.DescribeTransactionsRequest:
		if id := firstString(v, "TransactionalIDs"); id != "" {
			return coordinator("transaction", id)
		}
	}
	return nil
}

func controller(ctx context.Context, admin *kadm.Client) (int32, string, error) {
	m, err := admin.BrokerMetadata(ctx)
	return m.Controller, "the controller, as Metadata has it", err
}

func coordinator(kind, name string) finder {
	return func(ctx context.Context, admin *kadm.Client) (int32, string, error) {
		find := admin.FindGroupCoordinators
		if kind == "transaction" {
			find = admin.FindTxnCoordinators
		}
		found := find(ctx, name)
		one := found[name]
		return one.NodeID, fmt.Sprintf("the coordinator of %s %s", kind, name), one.Err
	}
}

// brokerOfConfigs sends what is about one broker there.
func brokerOfConfigs(v reflect.Value) finder {
	list := v.FieldByName("Resources")
	if list.Len() == 0 {
		return nil
	}
	kind, name := list.Index(0).FieldByName("ResourceType"), list.Index(0).FieldByName("ResourceName")
	if t := kmsg.ConfigResourceType(kind.Int()); t != kmsg.ConfigResourceTypeBroker && t != kmsg.ConfigResourceTypeBrokerLogger {
		return nil
	}
	id, err := strconv.ParseInt(name.String(), 10, 32)
	if err != nil {
		return nil // the default of all brokers
	}
	return func(context.Context, *kadm.Client) (int32, string, error) {
		return int32(id), "the broker whose configuration it is", nil
	}
}

// leader sends it to the leader of the first partition it names.
func leader(v reflect.Value) finder {
	topics := v.FieldByName("Topics")
	if !topics.IsValid() || topics.Len() == 0 {
		return nil
	}
	topic := topics.Index(0)
	name := firstString(topic, "Topic")
	var id kadm.TopicID
	if f := topic.FieldByName("TopicID"); f.IsValid() {
		reflect.Copy(reflect.ValueOf(id[:]), f)
	}
	partition := int32(0)
	if list := topic.FieldByName("Partitions"); list.IsValid() && list.Len() > 0 {
		switch p := list.Index(0); p.Kind() {
		case reflect.Struct:
			partition = int32(p.FieldByName("Partition").Int())
		case reflect.Int32:
			partition = int32(p.Int())
		}
	}
	if name == "" && id == (kadm.TopicID{}) {
		return nil
	}
	return func(ctx context.Context, admin *kadm.Client) (int32, string, error) {
		return findLeader(ctx, admin, name, id, partition)
	}
}

func findLeader(ctx context.Context, admin *kadm.Client, name string, id kadm.TopicID, partition int32) (int32, string, error) {
	var topics []string
	if name != "" {
		topics = []string{name}
	}
	m, err := admin.Metadata(ctx, topics...)
	if err != nil {
		return 0, "", err
	}
	for _, t := range m.Topics {
		if name != "" && t.Topic != name || name == "" && t.ID != id {
			continue
		}
		p, ok := t.Partitions[partition]
		if !ok || p.Leader < 0 {
			return 0, "", fmt.Errorf("%s has no partition %d with a leader", t.Topic, partition)
		}
		return p.Leader, fmt.Sprintf("the leader of %s-%d", t.Topic, partition), nil
	}
	if name == "" {
		return 0, "", fmt.Errorf("no topic has the id %s", uuidText(reflect.ValueOf(id)))
	}
	return 0, "", fmt.Errorf("there is no topic %s", name)
}

// firstString finds a name in the first of these fields that has one: a string, or the first of an array of strings or
// of objects with such a field.
func firstString(v reflect.Value, fields ...string) string {
	for _, name := range fields {
		f := v.FieldByName(name)
		if !f.IsValid() {
			continue
		}
		if f.Kind() == reflect.Slice && f.Len() > 0 {
			f = f.Index(0)
		}
		if f.Kind() == reflect.Struct {
			if s := firstString(f, fields...); s != "" {
				return s
			}
		}
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		if f.Kind() == reflect.String && f.String() != "" {
			return f.String()
		}
	}
	return ""
}
