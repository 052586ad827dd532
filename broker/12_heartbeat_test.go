package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

func TestHeartbeatsOfEveryVersionKeepAMember(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	m := b.alone(c, "g")
	for v := range int16(5) {
		for _, beat := range []struct {
			member     string
			generation int32
			want       *kafkaproto.Error
		}{
			{m.id, m.generation, nil},
			{m.id, m.generation + 1, kafkaproto.ErrIllegalGeneration},
			{"nobody", m.generation, kafkaproto.ErrUnknownMemberID},
			{"", m.generation, kafkaproto.ErrUnknownMemberID},
		} {
			got := ask[*kmsg.HeartbeatResponse](c, heartbeatRequest(v, "g", beat.member, beat.generation))
			mustBeCode(t, fmt.Sprintf("version %d %q", v, beat.member), got.ErrorCode, beat.want)
		}
		mustBeCode(t, "absent group", ask[*kmsg.HeartbeatResponse](c, heartbeatRequest(v, "absent", m.id, 1)).ErrorCode, kafkaproto.ErrUnknownMemberID)
		mustBeCode(t, "empty group id", ask[*kmsg.HeartbeatResponse](c, heartbeatRequest(v, "", m.id, 1)).ErrorCode, kafkaproto.ErrInvalidGroupID)
	}
}

func TestManyHeartbeatsAtOnceDoNotFenceAMember(t *testing.T) {
	clock := env.NewFakeClock(time.UnixMilli(1_700_000_000_000))
	b := startGroups(t, withClock(clock))
	c := b.dial()
	m := b.alone(c, "g")
	req := heartbeatRequest(4, "g", m.id, m.generation)
	for range 20 {
		first := c.correlation + 1
		for range 50 {
			c.send(req)
		}
		for i := range int32(50) {
			mustBeCode(t, "heartbeat", c.receive(first+i, req).(*kmsg.HeartbeatResponse).ErrorCode, nil)
		}
		clock.Advance(time.Second)
	}
	if d := c.described("g"); d.State != "Stable" || len(d.Members) != 1 {
		t.Errorf("%+v", d)
	}
}

func TestHeartbeatsNameTheInstanceFromVersion3On(t *testing.T) {
	instance := "here"
	for v := range int16(5) {
		b, asked := captureGroups(t, nil)
		req := heartbeatRequest(v, "g", "m", 4)
		req.InstanceID = &instance
		mustBeCode(t, "heartbeat", ask[*kmsg.HeartbeatResponse](b.dial(), req).ErrorCode, nil)
		got := asked().(groups.Heartbeat)
		if got.Group != "g" || got.MemberID != "m" || got.Generation != 4 || (got.InstanceID != nil) != (v >= 3) {
			t.Errorf("version %d: %+v", v, got)
		}
	}
}
