package kafkaproto

// Builder makes one batch out of records. Set the fields, Add records, take the result of Batch. The zero value makes an uncompressed batch of
// no producer; set ProducerID to NoProducerID etc. with NewBuilder.
type Builder struct {
	BaseOffset    Offset
	LeaderEpoch   LeaderEpoch
	Codec         Codec
	TimestampType TimestampType
	ProducerID    ProducerID
	ProducerEpoch ProducerEpoch
	BaseSequence  int32
	Transactional bool
	Control       bool

	records []byte
	count   int32
}

// NewBuilder returns a Builder for an uncompressed batch without a producer.
func NewBuilder() *Builder {
	return &Builder{LeaderEpoch: NoLeaderEpoch, ProducerID: NoProducerID, ProducerEpoch: NoProducerEpoch, BaseSequence: -1}
}

// Add appends a record. Only Timestamp, Key, Value, Headers are taken; the offset delta is the count of records before it.
func (bb *Builder) Add(r Record) {}

// Batch is the finished batch in memory of its own.
func (bb *Builder) Batch() (Batch, error) { return nil, nil }
