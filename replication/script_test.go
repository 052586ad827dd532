package replication

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/streambus/streambus/kafkaproto"
)

// The scripts in testdata/leader tell the story of one leader each; -rewrite writes what it says.
//
//	lead self=1 epoch=3 replicas=(1,2,3) isr=(1,2) own=written/flushed next=n [start=n] [known=n] [min=n] [durable]
//	report id=2 ends=written/flushed
//	assign replicas=(...) isr=(...)
//	rules [min=n] [durable]
//	admit acks=-1
//	diverges last=epoch offset=n mine=epoch@end
//	truncate leader=epoch@end mine=epoch@end end=n high=n
//	epoch asked=n current=n
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/leader", func(t *testing.T, path string) {
		var s script
		datadriven.RunTest(t, path, s.run)
	})
}

type script struct {
	leader Leader
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "lead":
		start := Start{Assignment: assignment(t, d), Rules: rules(t, d), Own: ends(t, d, "own"), KnownHighWatermark: kafkaproto.NoOffset}
		d.ScanArgs(t, "self", &start.Self)
		start.Next = offset(t, d, "next", 0)
		start.LogStart = offset(t, d, "start", 0)
		start.KnownHighWatermark = offset(t, d, "known", -1)
		s.leader = Lead(start)
		return s.state()
	case "report":
		var id int32
		d.ScanArgs(t, "id", &id)
		rose := s.leader.Report(id, ends(t, d, "ends"))
		return risen(rose) + s.state()
	case "assign":
		return risen(s.leader.Assign(assignment(t, d))) + s.state()
	case "rules":
		return risen(s.leader.Configure(rules(t, d))) + s.state()
	case "admit":
		var acks int16
		d.ScanArgs(t, "acks", &acks)
		return text(s.leader.Admit(acks))
	case "diverges":
		return fmt.Sprintln(Diverges(epoch(t, d, "last"), offset(t, d, "offset", 0), epochEnd(t, d, "mine")))
	case "truncate":
		to, done := Truncation(epochEnd(t, d, "leader"), epochEnd(t, d, "mine"), offset(t, d, "end", 0), offset(t, d, "high", 0))
		return fmt.Sprintf("to=%d done=%v\n", to, done)
	case "epoch":
		return text(CheckEpoch(epoch(t, d, "asked"), epoch(t, d, "current")))
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
		return ""
	}
}

func (s *script) state() string {
	l := &s.leader
	return fmt.Sprintf("high=%d caught-up=%v answer: acks=1 below %d, acks=all below %d (%s)",
		l.HighWatermark(), l.CaughtUp(), l.Target(AcksLeader), l.Target(AcksAll), text(l.Outcome(AcksAll)))
}

func risen(rose bool) string {
	if rose {
		return "risen "
	}
	return ""
}

func text(err error) string {
	if err == nil {
		return "ok"
	}
	return kafkaproto.ErrorForCode(kafkaproto.Code(err)).Name
}

func assignment(t *testing.T, d *datadriven.TestData) Assignment {
	a := Assignment{Replicas: ids(t, d, "replicas"), ISR: ids(t, d, "isr")}
	if d.HasArg("epoch") {
		a.Epoch = epoch(t, d, "epoch")
	}
	return a
}

func rules(t *testing.T, d *datadriven.TestData) Rules {
	r := Rules{Durable: d.HasArg("durable"), MinInSync: 1}
	d.MaybeScanArgs(t, "min", &r.MinInSync)
	return r
}

func ids(t *testing.T, d *datadriven.TestData, key string) []int32 {
	var out []int32
	for _, arg := range d.CmdArgs {
		if arg.Key != key {
			continue
		}
		for _, v := range arg.Vals {
			out = append(out, int32(number(t, d, v)))
		}
	}
	return out
}

func ends(t *testing.T, d *datadriven.TestData, key string) Ends {
	var s string
	d.ScanArgs(t, key, &s)
	w, f, ok := strings.Cut(s, "/")
	if !ok {
		d.Fatalf(t, "%s must be written/flushed", key)
	}
	return Ends{Written: kafkaproto.Offset(number(t, d, w)), Flushed: kafkaproto.Offset(number(t, d, f))}
}

func epochEnd(t *testing.T, d *datadriven.TestData, key string) EpochEnd {
	var s string
	d.ScanArgs(t, key, &s)
	if s == "unknown" {
		return EpochEnd{Epoch: -1, End: -1}
	}
	e, end, ok := strings.Cut(s, "@")
	if !ok {
		d.Fatalf(t, "%s must be epoch@end", key)
	}
	return EpochEnd{Epoch: kafkaproto.LeaderEpoch(number(t, d, e)), End: kafkaproto.Offset(number(t, d, end))}
}

func epoch(t *testing.T, d *datadriven.TestData, key string) kafkaproto.LeaderEpoch {
	var n int32
	d.ScanArgs(t, key, &n)
	return kafkaproto.LeaderEpoch(n)
}

func offset(t *testing.T, d *datadriven.TestData, key string, otherwise int64) kafkaproto.Offset {
	d.MaybeScanArgs(t, key, &otherwise)
	return kafkaproto.Offset(otherwise)
}

func number(t *testing.T, d *datadriven.TestData, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return n
}
