package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

func TestOneRequestChangesTenThousandConfigsAtMost(t *testing.T) {
	value := "x"
	for _, count := range []int{maxEventsPerRequest, maxEventsPerRequest + 1} {
		change := ChangeConfig{Kind: BrokerConfig, Set: map[string]*string{}}
		for i := range count {
			change.Set[fmt.Sprint("of.a.plugin.", i)] = &value
		}
		r := NewMachine(NewImage(), Defaults{}).Step(time.Time{}, Input{Command: ChangeConfigs{Resources: []ChangeConfig{change}}})
		refused := kafkaproto.Code(r.Replies[0].Err) == kafkaproto.ErrPolicyViolation.Num
		if refused != (count > maxEventsPerRequest) || refused == (len(r.Records) > 0) {
			t.Errorf("%d: %v, %d events", count, r.Replies[0].Err, len(r.Records))
		}
	}
}
