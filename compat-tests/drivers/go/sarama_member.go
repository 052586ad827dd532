package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// saramaMember is a Sarama group consumer that consumes in the background.
type saramaMember struct {
	*inbox
	lib     *shopify
	name    string
	group   sarama.ConsumerGroup
	cancel  context.CancelFunc
	running sync.WaitGroup

	sessionMu sync.Mutex
	session   sarama.ConsumerGroupSession // nil between two
}

func (s *shopify) join(_ context.Context, j joining) (member, error) {
	c := s.config()
	c.Consumer.Group.InstanceId = j.instance
	c.Consumer.Group.Session.Timeout = j.session
	c.Consumer.Group.Heartbeat.Interval = j.heartbeat()
	c.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	if j.clientID != "" {
		c.ClientID = j.clientID
	}
	if j.assignor != "" {
		strategy, ok := balanceStrategies[j.assignor]
		if !ok {
			return nil, fmt.Errorf("assignor %q: %w", j.assignor, errUnsupported)
		}
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy()}
	}
	group, err := sarama.NewConsumerGroup(s.bootstrap, j.group, c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &saramaMember{inbox: newInbox(), lib: s, name: j.group, group: group, cancel: cancel}
	m.running.Go(func() {
		for err := range group.Errors() {
			m.fail(err)
		}
	})
	m.running.Go(func() {
		for ctx.Err() == nil {
			if err := group.Consume(ctx, j.topics, m); err != nil {
				m.fail(err)
				if errors.Is(err, sarama.ErrClosedConsumerGroup) {
					return
				}
			}
		}
	})
	return m, nil
}

// Setup begins a session with all its partitions.
func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.sessionMu.Lock()
	m.session = session
	m.sessionMu.Unlock()
	m.assign(true, pairs(session.Claims())...)
	return nil
}

// Cleanup ends a session.
func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error {
	m.sessionMu.Lock()
	m.session = nil
	m.sessionMu.Unlock()
	return nil
}

// ConsumeClaim reads a partition until it is taken away.
func (m *saramaMember) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	tp := topicPartition{claim.Topic(), claim.Partition()}
	m.claim(tp)
	for msg := range claim.Messages() {
		m.add(tp, fromSarama(msg))
	}
	m.revoke(tp)
	return nil
}

// claim owns a partition that a cooperative rebalance has brought to a running session.
func (m *saramaMember) claim(tp topicPartition) {
	m.mu.Lock()
	known := m.owned[tp]
	m.mu.Unlock()
	if !known {
		m.assign(false, tp)
	}
}

// commit asks the broker afterwards what it has, since Sarama's Commit does not tell whether it worked.
func (m *saramaMember) commit(ctx context.Context) ([]committedOffset, error) {
	offsets := m.toCommit()
	m.sessionMu.Lock()
	session := m.session
	m.sessionMu.Unlock()
	if len(offsets) == 0 {
		return nil, nil
	}
	if session == nil {
		return nil, errors.New("between two sessions")
	}
	for _, o := range offsets {
		session.MarkOffset(o.topic, o.partition, o.offset, "")
	}
	session.Commit()
	for _, o := range offsets {
		now, err := m.lib.committed(ctx, m.name, o.topic, []int32{o.partition})
		if err != nil {
			return nil, err
		}
		if now[0] == nil || *now[0] != o.offset {
			return nil, fmt.Errorf("%s-%d: the commit of %d has not arrived", o.topic, o.partition, o.offset)
		}
	}
	return offsets, nil
}

func (m *saramaMember) leave() error {
	m.cancel()
	err := m.group.Close()
	m.running.Wait()
	return err
}
