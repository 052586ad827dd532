package controller

import "time"

func codeCreateCluster(c *coder, v *CreateCluster) { c.uuid(&v.ID) }

func codeRegisterBroker(c *coder, v *RegisterBroker) {
	c.int32(&v.ID)
	c.uuid(&v.Incarnation)
	c.optional(&v.Rack)
	codeListeners(c, &v.Listeners)
	sliceOf(c, &v.Directories, (*coder).uuid)
	c.bool(&v.Clean)
}

func codeListeners(c *coder, v *[]Listener) {
	sliceOf(c, v, func(c *coder, l *Listener) {
		c.str(&l.Name)
		c.str(&l.Protocol)
		c.str(&l.Host)
		c.int32(&l.Port)
	})
}

func codeUnfenceBroker(c *coder, v *UnfenceBroker) {
	c.int32(&v.ID)
	c.int64(&v.Epoch)
}

func codeFenceBroker(c *coder, v *FenceBroker) {
	c.int32(&v.ID)
	c.int64(&v.Epoch)
}

func codeReplicasDamaged(c *coder, v *ReplicasDamaged) {
	c.int32(&v.BrokerID)
	c.int64(&v.BrokerEpoch)
	sliceOf(c, &v.Partitions, codeTopicPartition)
}

func codeBrokerHeartbeat(c *coder, v *BrokerHeartbeat) {
	c.int32(&v.ID)
	c.int64(&v.Epoch)
	c.bool(&v.WantFenced)
	c.bool(&v.WantShutdown)
}

func codeBrokerHeartbeatAnswer(c *coder, a *BrokerHeartbeatAnswer) {
	c.bool(&a.Fenced)
	c.bool(&a.ShutdownAllowed)
}

func codeAllocateProducerIDs(c *coder, v *AllocateProducerIDs) {
	c.int32(&v.BrokerID)
	c.int64(&v.BrokerEpoch)
}

func codeAllocateProducerIDsAnswer(c *coder, a *AllocateProducerIDsAnswer) {
	c.int64((*int64)(&a.First))
	c.int32(&a.Count)
}

func codeUpdateFeatures(c *coder, v *UpdateFeatures) {
	sliceOf(c, &v.Updates, func(c *coder, u *FeatureUpdate) {
		c.str(&u.Name)
		c.int16(&u.Level)
		c.bool(&u.AllowDowngrade)
	})
	c.bool(&v.ValidateOnly)
}

// EncodeQuorumState appends the bytes of a state to dst.
func EncodeQuorumState(dst []byte, s QuorumState) []byte {
	c := &coder{buf: dst}
	codeQuorumState(c, &s)
	return c.buf
}

// DecodeQuorumState reads them. Errors are ErrUnreadable.
func DecodeQuorumState(data []byte) (s QuorumState, err error) {
	c := &coder{buf: data, reading: true}
	codeQuorumState(c, &s)
	return s, c.end()
}

func codeQuorumState(c *coder, s *QuorumState) {
	c.int32(&s.LeaderID)
	c.int32(&s.LeaderEpoch)
	c.int64(&s.HighWatermark)
	sliceOf(c, &s.Voters, codeQuorumMember)
	sliceOf(c, &s.Observers, codeQuorumMember)
}

func codeQuorumMember(c *coder, m *QuorumMember) {
	c.int32(&m.ID)
	c.uuid(&m.DirectoryID)
	c.str(&m.Address)
	c.int64(&m.LogEndOffset)
	codeTime(c, &m.LastFetch)
	codeTime(c, &m.LastCaughtUp)
}

// codeTime keeps milliseconds; the zero time stays what it is.
func codeTime(c *coder, t *time.Time) {
	var ms int64
	if !t.IsZero() {
		ms = t.UnixMilli()
	}
	c.int64(&ms)
	if c.reading && ms != 0 {
		*t = time.UnixMilli(ms)
	}
}
