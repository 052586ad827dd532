package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committer commits one offset after the other for a group without members.
type committer struct {
	load  *groupsLoad
	group string
}

func (c *committer) run(ctx context.Context) {
	var conn *conn
	defer func() {
		if conn != nil {
			_ = conn.nc.Close()
		}
	}()
	for offset := int64(0); ctx.Err() == nil; offset++ {
		var err error
		if conn == nil {
			conn, err = dial(ctx, c.load.coords.address(c.group))
		}
		from := time.Now()
		if err == nil {
			err = commit(ctx, conn, c.group, c.load.o.Topic, offset)
		}
		if err == nil {
			c.load.commit.note(time.Since(from), c.load.measured.Load())
			continue
		}
		if ctx.Err() != nil {
			return
		}
		conn = c.again(ctx, conn, err)
	}
}

// again counts err and waits a little; what it returns is the connection to go on with, nil for a new one.
func (c *committer) again(ctx context.Context, conn *conn, err error) *conn {
	c.load.failed(err)
	if conn != nil {
		_ = conn.nc.Close()
	}
	if kerr.IsRetriable(err) {
		_ = c.load.coords.find(ctx, []string{c.group}) // else the next attempt fails as this one did, and is counted
	}
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
	return nil
}

// commitVersion is the newest version that names topics by name.
const commitVersion = 9

// commit commits an offset of partition 0 as a consumer without a group's protocol does.
func commit(ctx context.Context, c *conn, group, topic string, offset int64) error {
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = 0, offset
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req, resp := kmsg.NewPtrOffsetCommitRequest(), kmsg.NewPtrOffsetCommitResponse()
	req.Group, req.Generation, req.Topics = group, -1, append(req.Topics, t)
	if err := c.nc.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	// At the end a commit that is on its way is waited for: if it arrived after the groups were deleted, it would make one anew.
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Now().Add(leaveTimeout)) })
	defer stop()
	version, err := c.version(req.Key(), commitVersion)
	if err != nil {
		return err
	}
	req.Version = version
	if err := c.call(req, resp); err != nil {
		return fmt.Errorf("commit of %s: %w", group, err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("commit of %s: %w", group, err)
			}
		}
	}
	return nil
}
