package node

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
)

// setOnBroker sets a property of this broker, or of all for an empty name, through Kafka's API.
func setOnBroker(t *testing.T, c *kgo.Client, name, key, value string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, name
	r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Value: &value}}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("%v %+v", err, resp)
	}
}

func TestWhatIsSetOnBrokersTakesEffectAndOutlivesARestart(t *testing.T) {
	fs := env.NewMem()
	n := startNode(t, fs)
	c := client(t, n)
	produce(t, c, "orders", "small")
	setOnBroker(t, c, "", "message.max.bytes", "1000")
	setOnBroker(t, c, "1", "log.retention.ms", "5000")
	setOnBroker(t, c, "", "producer.id.expiration.ms", "7000")
	check := func(n *Node) {
		t.Helper()
		c := n.o.Config
		if c.Int("message.max.bytes") != 1000 || c.Int("log.retention.ms") != 5000 || c.Int("producer.id.expiration.ms") != 7000 {
			t.Errorf("%d %d", c.Int("message.max.bytes"), c.Int("log.retention.ms"))
		}
		c2 := client(t, n, kgo.ProducerBatchCompression(kgo.NoCompression()))
		err := c2.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte(strings.Repeat("x", 2000))}).FirstErr()
		if err == nil || !strings.Contains(err.Error(), "MESSAGE_TOO_LARGE") {
			t.Errorf("a large record: %v", err)
		}
	}
	check(n)
	stopNode(t, n)
	check(startNode(t, fs))
}
