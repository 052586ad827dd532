package cli

import (
	"hash/crc32"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Names that --compression, --partitioner and --acks accept; for completion and help.
var (
	Compressions = []string{"none", "gzip", "snappy", "lz4", "zstd"}
	Partitioners = []string{"kafka", "sticky", "round-robin", "crc32"}
	AcksValues   = []string{"all", "1", "0"}
)

// stickyBytes is how much goes to one partition before records without a key move on to the next, as in Kafka's
// producer since 3.3 (KIP-794).
const stickyBytes = 64 << 10

func produceClientOptions(o ProduceOptions) ([]kgo.Opt, error) {
	codec, err := compression(o.Compression)
	if err != nil {
		return nil, err
	}
	partitioner, err := partitioner(o.Partitioner)
	if err != nil {
		return nil, err
	}
	acks, err := acks(o.Acks)
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(o.Topic), kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(pinned{partitioner}), kgo.RequiredAcks(acks),
		kgo.ProducerLinger(o.Linger), kgo.ProducerBatchMaxBytes(o.BatchBytes),
		kgo.MaxBufferedBytes(64 << 20),
	}
	if o.Idempotence && o.Acks != "all" && o.Acks != "-1" {
		return nil, usagef("an idempotent producer needs --acks all: add --idempotence=false")
	}
	if !o.Idempotence {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	return opts, nil
}

func compression(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, unknownName("compression", name, Compressions)
}

func partitioner(name string) (kgo.Partitioner, error) {
	switch name {
	case "kafka":
		return kgo.UniformBytesPartitioner(stickyBytes, true, true, nil), nil
	case "sticky":
		return kgo.StickyKeyPartitioner(nil), nil
	case "round-robin":
		return kgo.RoundRobinPartitioner(), nil
	case "crc32": // librdkafka's own: what kcat would choose for a key
		return kgo.StickyKeyPartitioner(func(key []byte, n int) int {
			return int(crc32.ChecksumIEEE(key) % uint32(n))
		}), nil
	}
	return nil, unknownName("partitioner", name, Partitioners)
}

func acks(name string) (kgo.Acks, error) {
	switch name {
	case "all", "-1":
		return kgo.AllISRAcks(), nil
	case "1":
		return kgo.LeaderAck(), nil
	case "0":
		return kgo.NoAck(), nil
	}
	return kgo.Acks{}, unknownName("acks", name, AcksValues)
}

func unknownName(what, name string, known []string) error {
	return usagef("unknown %s %q (allowed: %s)", what, name, strings.Join(known, ", "))
}

// pinned lets a record that names its partition go there and asks the partitioner inside for the others, which have
// partition -1.
type pinned struct{ inner kgo.Partitioner }

func (p pinned) ForTopic(topic string) kgo.TopicPartitioner {
	inner := p.inner.ForTopic(topic)
	t := &pinnedTopic{TopicPartitioner: inner}
	t.onNewBatch, _ = inner.(kgo.TopicPartitionerOnNewBatch)
	if backup, ok := inner.(kgo.TopicBackupPartitioner); ok {
		return &pinnedBackupTopic{pinnedTopic: t, backup: backup}
	}
	return t
}

type pinnedTopic struct {
	kgo.TopicPartitioner
	onNewBatch kgo.TopicPartitionerOnNewBatch // nil if the partitioner inside does not care
}

func (t *pinnedTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || t.TopicPartitioner.RequiresConsistency(r)
}

func (t *pinnedTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return t.TopicPartitioner.Partition(r, n)
}

func (t *pinnedTopic) OnNewBatch() {
	if t.onNewBatch != nil {
		t.onNewBatch.OnNewBatch()
	}
}

type pinnedBackupTopic struct {
	*pinnedTopic
	backup kgo.TopicBackupPartitioner
}

func (t *pinnedBackupTopic) PartitionByBackup(r *kgo.Record, n int, backup kgo.TopicBackupIter) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return t.backup.PartitionByBackup(r, n, backup)
}

// Complete returns the names of list that start with prefix, for the shell.
func Complete(list []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !strings.HasPrefix(s, prefix) })
}
