package kafkaproto

// ProduceResponse is Produce's response (versions 0 to 13). It may hold more than Version has: AppendTo leaves the rest out.
type ProduceResponse struct {
	Version        int16
	Topics         []ProduceResponseTopic
	ThrottleMillis int32            // v1+
	Brokers        []ResponseBroker // NodeEndpoints, v10+, left out if empty
}

// ProduceResponseTopic has Topic (v0-v12) or TopicID (v13).
type ProduceResponseTopic struct {
	Topic      string
	TopicID    TopicID
	Partitions []ProduceResponsePartition
}

// ProduceResponsePartition is one partition's answer. Make it with NewProduceResponsePartition: "none" is -1 in many fields, not 0.
type ProduceResponsePartition struct {
	Partition     int32
	ErrorCode     int16
	BaseOffset    Offset
	LogAppendTime Timestamp        // v2+
	LogStart      Offset           // v5+
	RecordErrors  []RecordError    // v8+
	ErrorMessage  *string          // v8+
	CurrentLeader LeaderIDAndEpoch // v10+, tagged, left out if both are -1
}

// NewProduceResponsePartition has Kafka's defaults.
func NewProduceResponsePartition(partition int32) ProduceResponsePartition {
	return ProduceResponsePartition{
		Partition: partition, BaseOffset: NoOffset, LogAppendTime: NoTimestamp, LogStart: NoOffset, CurrentLeader: noLeader,
	}
}

// AppendTo appends the response without its header to dst.
func (resp *ProduceResponse) AppendTo(dst []byte) []byte {
	e := answerEncoder{buf: dst, version: resp.Version, compact: resp.Version >= 9}
	e.length(len(resp.Topics))
	for i := range resp.Topics {
		t := &resp.Topics[i]
		e.topicHead(t.Topic, t.TopicID, len(t.Partitions))
		for j := range t.Partitions {
			e.produced(&t.Partitions[j])
		}
		if e.compact {
			e.buf = append(e.buf, 0)
		}
	}
	if e.version >= 1 {
		e.int32(resp.ThrottleMillis)
	}
	switch {
	case e.version >= 10:
		e.brokers(resp.Brokers)
	case e.compact:
		e.buf = append(e.buf, 0)
	}
	return e.buf
}

func (e *answerEncoder) produced(p *ProduceResponsePartition) {
	e.int32(p.Partition)
	e.int16(p.ErrorCode)
	e.int64(int64(p.BaseOffset))
	if e.version >= 2 {
		e.int64(int64(p.LogAppendTime))
	}
	if e.version >= 5 {
		e.int64(int64(p.LogStart))
	}
	if e.version >= 8 {
		e.length(len(p.RecordErrors))
		for i := range p.RecordErrors {
			e.recordError(&p.RecordErrors[i])
		}
		e.nullable(p.ErrorMessage)
	}
	switch {
	case e.version >= 10 && p.CurrentLeader.known():
		e.buf = append(e.buf, 1)
		e.leader(0, p.CurrentLeader)
	case e.compact:
		e.buf = append(e.buf, 0)
	}
}

// recordError writes one record's error, with null for a message that is empty.
func (e *answerEncoder) recordError(r *RecordError) {
	e.int32(r.BatchIndex)
	if r.Message == "" {
		e.nullable(nil)
	} else {
		e.nullable(&r.Message)
	}
	if e.compact {
		e.buf = append(e.buf, 0)
	}
}
