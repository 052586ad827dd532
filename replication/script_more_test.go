package replication

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/streambus/streambus/kafkaproto"
)

// followerScript tells the story of a follower. Its log is a list of runs epoch:records.
//
//	follow leader=1 epoch=3 log=1:10,2:5 [flushed=n] [start=n] [high=n]
//	next [now=ms]
//	answer [records=epoch:n] [high=n] [start=n] [diverging=epoch@end] [error=NAME] [late] [now=ms]
//	offsets start=n end=n
//	flushed end=n
//	failed [now=ms]
//
// answer carries out what it is told to do.
type followerScript struct {
	f   Follower
	log []kafkaproto.LeaderEpoch
	LocalLog
}

func TestFollowerScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/follower", func(t *testing.T, path string) {
		var s followerScript
		datadriven.RunTest(t, path, s.run)
	})
}

func (s *followerScript) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "follow":
		s.follow(t, d)
	case "next":
		f, ok := s.f.Next(moment(t, d))
		if !ok {
			return "nothing\n"
		}
		return fmt.Sprintf("fetch from leader %d in epoch %d: offset %d after epoch %d, flushed %d, starts at %d\n",
			f.Leader, f.CurrentEpoch, f.Offset, f.LastEpoch, f.FlushedEnd, f.LogStart)
	case "answer":
		return s.answer(t, d) + s.state()
	case "offsets":
		a := s.f.LeaderOffsets(moment(t, d), s.f.Epoch(), offset(t, d, "start", 0), offset(t, d, "end", 0))
		return s.act(a, nil) + s.state()
	case "flushed":
		s.Flushed = offset(t, d, "end", 0)
		return fmt.Sprintf("tell=%v\n", s.f.Flushed(s.Flushed))
	case "failed":
		s.f.Failed(moment(t, d))
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return s.state()
}

func (s *followerScript) follow(t *testing.T, d *datadriven.TestData) {
	var leader int32
	d.ScanArgs(t, "leader", &leader)
	if d.HasArg("log") {
		s.Start = offset(t, d, "start", 0)
		s.log = make([]kafkaproto.LeaderEpoch, s.Start)
		s.log = append(s.log, runs(t, d, "log")...)
		s.Flushed = offset(t, d, "flushed", int64(len(s.log)))
	}
	s.f = Follow(leader, epoch(t, d, "epoch"), s.local(), offset(t, d, "high", -1), Backoff{100 * time.Millisecond, time.Second})
}

func (s *followerScript) local() LocalLog {
	s.Written, s.LastEpoch = kafkaproto.Offset(len(s.log)), kafkaproto.NoLeaderEpoch
	s.Flushed = min(s.Flushed, s.Written)
	if s.Written > s.Start {
		s.LastEpoch = s.log[s.Written-1]
	}
	return s.LocalLog
}

func (s *followerScript) answer(t *testing.T, d *datadriven.TestData) string {
	asked := s.f.fetch()
	if d.HasArg("late") {
		asked.CurrentEpoch--
	}
	a := FetchAnswer{HighWatermark: offset(t, d, "high", 0), LogStart: offset(t, d, "start", 0)}
	records := runs(t, d, "records")
	a.Records = len(records) > 0
	if d.HasArg("diverging") {
		e := epochEnd(t, d, "diverging")
		a.Diverging, a.Mine = &e, s.endOfEpoch(e.Epoch)
	}
	if d.HasArg("error") {
		a.Err = errorNamed(t, d)
	}
	return s.act(s.f.Answered(moment(t, d), asked, a), records)
}

func (s *followerScript) endOfEpoch(e kafkaproto.LeaderEpoch) EpochEnd {
	found := EpochEnd{Epoch: kafkaproto.NoLeaderEpoch, End: kafkaproto.NoOffset}
	for o := s.Start; o < s.Written; o++ {
		switch at := s.log[o]; {
		case at <= e:
			found = EpochEnd{Epoch: at, End: o + 1}
		case !found.Known():
			return EpochEnd{Epoch: e, End: o}
		}
	}
	return found
}

func (s *followerScript) act(a Action, records []kafkaproto.LeaderEpoch) string {
	switch a.Do {
	case DoAppend:
		s.log = append(s.log, records...)
		s.f.Appended(s.local())
		return fmt.Sprintf("append %d\n", len(records))
	case DoTruncate:
		s.log = s.log[:a.To]
		s.f.Truncated(s.local())
		return fmt.Sprintf("truncate to %d\n", a.To)
	case DoReset:
		s.log, s.Start = make([]kafkaproto.LeaderEpoch, a.To), a.To
		s.f.Truncated(s.local())
		return fmt.Sprintf("begin anew at %d\n", a.To)
	case DoAskOffsets:
		return "ask for the leader's offsets\n"
	case DoStop:
		return "stop\n"
	}
	return ""
}

func (s *followerScript) state() string {
	l := s.local()
	out := fmt.Sprintf("log %d..%d of epoch %d, high=%d, start wanted=%d", l.Start, l.Written, l.LastEpoch, s.f.HighWatermark(), s.f.LogStart())
	if at := s.f.RetryAt(); !at.IsZero() {
		out += fmt.Sprintf(", retry at %d", at.UnixMilli())
	}
	return out + "\n"
}

// isrScript tells the story of a leader that looks after its ISR; the lag is 1000 ms, and every broker's epoch is its id
// times 10 unless broker says else.
//
//	lead replicas=(1,2,3) isr=(1,2) end=n [start=n] [high=n] [min=n] [durable]     (epoch 5, self 1, partition epoch 1)
//	produce end=written/flushed
//	fetch id=2 ends=written/flushed now=ms [broker=epoch]
//	broker id=2 [epoch=n] [fenced]
//	propose now=ms
//	answer isr=(1,2) epoch=n | error=NAME
//	metadata isr=(1,2) epoch=n
type isrScript struct {
	leader Leader
	isr    ISR
	end    kafkaproto.Offset
	rules  Rules
	peers  []Peer
	now    time.Time
	sent   Proposal
}

func TestISRScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/insync", func(t *testing.T, path string) {
		var s isrScript
		datadriven.RunTest(t, path, s.run)
	})
}

func (s *isrScript) run(t *testing.T, d *datadriven.TestData) string {
	if d.HasArg("now") {
		s.now = moment(t, d)
	}
	out := ""
	switch d.Cmd {
	case "lead":
		s.lead(t, d)
	case "produce":
		e := ends(t, d, "end")
		s.end = e.Written
		s.leader.Report(1, e)
	case "fetch":
		out = s.fetch(t, d)
	case "broker":
		s.broker(t, d)
		return ""
	case "propose":
		out = s.propose()
	case "answer", "metadata":
		out = s.decide(t, d)
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	s.leader.Hold(s.isr.Counted(s.view()))
	return out + s.state()
}

func (s *isrScript) lead(t *testing.T, d *datadriven.TestData) {
	s.rules, s.end, s.now = rules(t, d), offset(t, d, "end", 0), time.UnixMilli(1)
	a := Assignment{Epoch: 5, Replicas: ids(t, d, "replicas"), ISR: ids(t, d, "isr")}
	s.leader = Lead(Start{
		Self: 1, Assignment: a, Rules: s.rules, Own: Ends{s.end, s.end}, Next: offset(t, d, "start", int64(s.end)),
		KnownHighWatermark: offset(t, d, "high", int64(s.end)),
	})
	s.isr = NewISR(1, Decided{a, 1}, s.now)
	s.peers = nil
	for _, id := range a.Replicas {
		s.peers = append(s.peers, Peer{ID: id, Epoch: int64(id) * 10, Active: true})
	}
}

func (s *isrScript) view() View {
	return View{
		Now: s.now, Lag: time.Second, LeaderEnd: s.end, EpochStart: s.leader.EpochStart(), High: s.leader.HighWatermark(),
		Durable: s.rules.Durable, Peers: s.peers,
	}
}

func (s *isrScript) fetch(t *testing.T, d *datadriven.TestData) string {
	var id int32
	d.ScanArgs(t, "id", &id)
	e := ends(t, d, "ends")
	fresh, err := s.isr.Fetched(s.now, id, int64(offset(t, d, "broker", int64(id)*10)), e, s.end)
	if err != nil {
		return text(err) + "\n"
	}
	if fresh {
		s.leader.Forget(id)
	}
	s.leader.Hold(s.isr.Counted(s.view()))
	s.leader.Report(id, e)
	return ""
}

func (s *isrScript) broker(t *testing.T, d *datadriven.TestData) {
	var id int32
	d.ScanArgs(t, "id", &id)
	for i := range s.peers {
		if s.peers[i].ID == id {
			s.peers[i].Active = !d.HasArg("fenced")
			s.peers[i].Epoch = int64(offset(t, d, "epoch", s.peers[i].Epoch))
		}
	}
}

func (s *isrScript) propose() string {
	p, ok := s.isr.Propose(s.view())
	if !ok {
		return "nothing\n"
	}
	s.sent = p
	return fmt.Sprintf("propose isr=%v on %d: joins=%v leaves=%v\n", p.ISR, p.PartitionEpoch, p.Joins, p.Leaves)
}

func (s *isrScript) decide(t *testing.T, d *datadriven.TestData) string {
	decided := Decided{Assignment{Epoch: 5, Replicas: s.isr.now.Replicas, ISR: ids(t, d, "isr")}, int32(offset(t, d, "epoch", 0))}
	var err error
	if d.HasArg("error") {
		err = errorNamed(t, d)
	}
	changed, retry := false, false
	if d.Cmd == "metadata" {
		changed = s.isr.Decide(decided, s.now)
	} else {
		changed, retry = s.isr.Answered(s.sent, decided, err, s.now)
	}
	if changed {
		s.leader.Assign(s.isr.now.Assignment)
	}
	return fmt.Sprintf("changed=%v retry=%v\n", changed, retry)
}

func (s *isrScript) state() string {
	return fmt.Sprintf("isr=%v on %d, pending=%v, counted=%v, high=%d (%s)\n", s.isr.Members(), s.isr.PartitionEpoch(),
		s.isr.Pending() != nil, s.isr.Counted(s.view()), s.leader.HighWatermark(), text(s.leader.Admit(AcksAll)))
}

func moment(t *testing.T, d *datadriven.TestData) time.Time {
	return time.UnixMilli(int64(offset(t, d, "now", 0)))
}

// runs reads epoch:n,epoch:n as the epoch of each record.
func runs(t *testing.T, d *datadriven.TestData, key string) []kafkaproto.LeaderEpoch {
	var all string
	var out []kafkaproto.LeaderEpoch
	d.MaybeScanArgs(t, key, &all)
	for _, run := range strings.FieldsFunc(all, func(r rune) bool { return r == ',' }) {
		e, n, _ := strings.Cut(run, ":")
		out = append(out, slices.Repeat([]kafkaproto.LeaderEpoch{kafkaproto.LeaderEpoch(number(t, d, e))}, int(number(t, d, n)))...)
	}
	return out
}

func errorNamed(t *testing.T, d *datadriven.TestData) error {
	var name string
	d.ScanArgs(t, "error", &name)
	for code := int16(1); code < 134; code++ {
		if e := kafkaproto.ErrorForCode(code); e.Name == name {
			return e
		}
	}
	d.Fatalf(t, "no error %s", name)
	return nil
}
