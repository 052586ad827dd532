package broker

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func TestDeleteGroupsAnswersForEachGroupOnce(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	b.alone(c, "live")
	for v := range int16(3) {
		b.mustCommit(c, "simple", "t", 0, 1)
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Version, req.Groups = v, []string{"live", "simple", "absent", "simple", "live"}
		resp := ask[*kmsg.DeleteGroupsResponse](c, req)
		got := ""
		for _, g := range resp.Groups {
			got += fmt.Sprint(g.Group, " ", g.ErrorCode, ", ")
		}
		want := fmt.Sprintf("live %d, simple 0, absent %d, ", kafkaproto.ErrNonEmptyGroup.Num, kafkaproto.ErrGroupIDNotFound.Num)
		if got != want {
			t.Errorf("version %d: %s, want %s", v, got, want)
		}
		if got := b.committed(c, "simple", "t", 0); got != -1 {
			t.Errorf("version %d: the offset %d is left", v, got)
		}
		if d := c.described("simple"); d.State != "Dead" {
			t.Errorf("version %d: %+v", v, d)
		}
	}
	if d := c.described("live"); d.State != "Stable" {
		t.Errorf("%+v", d)
	}
}
