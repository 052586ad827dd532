package bench

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Target is the cluster and the topic under load. The topic is made if it is missing.
type Target struct {
	Bootstrap         []string          // host:port
	Topic             string            // default "bench"
	Partitions        int32             // of the topic, if it is made; default 1
	ReplicationFactor int16             // of the topic, if it is made; -1 the broker's default
	Configs           map[string]string // of the topic, if it is made
	PIDs              []int             // of the brokers, if they run on this machine and their CPU time and memory together are wanted
}

func (t *Target) check() error {
	if t.Topic == "" {
		t.Topic = "bench"
	}
	if t.Partitions <= 0 {
		t.Partitions = 1
	}
	if t.ReplicationFactor == 0 {
		t.ReplicationFactor = -1
	}
	if len(t.Bootstrap) == 0 {
		return errors.New("no bootstrap address")
	}
	return nil
}

// ProduceOptions shape the load of Produce. It ends with the first of Duration, Records and Bytes that is reached; with
// none of them, after ten seconds.
type ProduceOptions struct {
	Target
	RecordSize   int           // bytes of a record's value; default 100
	BatchRecords int           // default 1000
	Connections  int           // to each broker that leads a partition; default 1
	InFlight     int           // requests without an answer on one connection; default 5
	Acks         int16         // -1, 0 or 1
	Compression  string        // none, gzip, snappy, lz4, zstd
	Duration     time.Duration // of the measured part
	Records      int64         // of the measured part
	Bytes        int64         // of record values, of the measured part
	WarmUp       time.Duration // before measuring starts
	Rate         float64       // records a second over all connections; 0: as fast as it goes
	Progress     func(Progress)
}

// Compressions are the names ProduceOptions.Compression may have.
var Compressions = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// Limits that keep a slip of the finger from asking for the machine's whole memory.
const (
	maxBatchBytes  = 512 << 20
	maxConnections = 10_000
	maxInFlight    = 10_000
)

func (o *ProduceOptions) check() error {
	if err := o.Target.check(); err != nil {
		return err
	}
	setDefault(&o.RecordSize, 100)
	setDefault(&o.BatchRecords, 1000)
	setDefault(&o.Connections, 1)
	setDefault(&o.InFlight, 5)
	if o.Compression == "" {
		o.Compression = "none"
	}
	if o.Duration <= 0 && o.Records <= 0 && o.Bytes <= 0 {
		o.Duration = 10 * time.Second
	}
	switch {
	case o.Acks < -1 || o.Acks > 1:
		return fmt.Errorf("acks %d is none of -1, 0, 1", o.Acks)
	case !slices.Contains(Compressions, o.Compression):
		return fmt.Errorf("unknown compression %q", o.Compression)
	case o.RecordSize < 0 || o.BatchRecords < 0 || o.RecordSize*o.BatchRecords > maxBatchBytes || o.BatchRecords > maxBatchBytes:
		return fmt.Errorf("a batch of %d records of %d bytes is too large", o.BatchRecords, o.RecordSize)
	case o.Connections < 0 || o.Connections > maxConnections:
		return fmt.Errorf("%d connections: allowed are 1 to %d", o.Connections, maxConnections)
	case o.InFlight < 0 || o.InFlight > maxInFlight:
		return fmt.Errorf("%d requests in flight: allowed are 1 to %d", o.InFlight, maxInFlight)
	case o.Rate < 0:
		return fmt.Errorf("rate %g is negative", o.Rate)
	}
	return nil
}

// ConsumeOptions shape the load of Consume. It reads each partition from its start to what was its end when it began;
// with Duration it begins again at the start until the time is over.
type ConsumeOptions struct {
	Target
	Connections  int           // to each broker that leads a partition, which share its partitions; default 1
	MaxBytes     int32         // of one fetch; default 50 MiB as in Kafka's consumer
	PartitionMax int32         // of one partition in one fetch; default 1 MiB as in Kafka's consumer
	Only         []int32       // partitions that are read; default all
	MinBytes     int32         // default 1
	MaxWait      time.Duration // default 500 ms
	Duration     time.Duration
	Records      int64 // stop after so many
	Progress     func(Progress)
}

func (o *ConsumeOptions) check() error {
	if err := o.Target.check(); err != nil {
		return err
	}
	setDefault(&o.Connections, 1)
	setDefault(&o.MaxBytes, 50<<20)
	setDefault(&o.PartitionMax, 1<<20)
	setDefault(&o.MinBytes, 1)
	if o.MaxWait <= 0 {
		o.MaxWait = 500 * time.Millisecond
	}
	if o.Connections < 0 || o.Connections > maxConnections {
		return fmt.Errorf("%d connections: allowed are 1 to %d", o.Connections, maxConnections)
	}
	return nil
}

// EndToEndOptions shape the load of EndToEnd.
type EndToEndOptions struct {
	Target
	Rate       float64       // records a second; default 1000
	RecordSize int           // bytes of a value, at least 8; default 100
	Acks       int16         // -1, 0 or 1
	Linger     time.Duration // how long the producer waits for company; default 0
	Plain      bool          // on plain connections instead of franz-go's clients, without Linger: what is left is the broker
	Duration   time.Duration // of the measured part; default 10 s
	WarmUp     time.Duration // before it
	Progress   func(Progress)
}

func (o *EndToEndOptions) check() error {
	if err := o.Target.check(); err != nil {
		return err
	}
	if o.Rate == 0 {
		o.Rate = 1000
	}
	setDefault(&o.RecordSize, 100)
	if o.Duration <= 0 {
		o.Duration = 10 * time.Second
	}
	switch {
	case o.Rate < 0 || o.Rate > 10_000_000:
		return fmt.Errorf("rate %g: allowed are up to 10 million records a second", o.Rate)
	case o.RecordSize < 8 || o.RecordSize > maxBatchBytes:
		return fmt.Errorf("record size %d: at least 8 bytes, which carry the time", o.RecordSize)
	case o.Acks < -1 || o.Acks > 1:
		return fmt.Errorf("acks %d is none of -1, 0, 1", o.Acks)
	case o.Plain && o.Linger > 0:
		return errors.New("a plain producer sends each record at once: it has no linger")
	}
	return nil
}

// Progress is what a run tells about once a second.
type Progress struct {
	Elapsed  time.Duration // since the load began, warm-up included
	WarmUp   bool
	Part     float64 // of the run that is over, warm-up included, 0 to 1; 0 if nobody knows
	Records  int64   // so far
	PerSec   float64 // records in the last second
	BytesSec float64 // bytes of values in the last second (produce), of batches (consume)
}

func setDefault[T int | int32](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
