package quorum

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// progress is how far the logs of other members are, which raft does not tell: the transport learns it from the answers that
// they give to the leader.
type progress struct {
	mu      sync.Mutex
	now     func() time.Time
	end     func() uint64 // index of this node's last entry
	members map[raft.ServerID]memberProgress
}

type memberProgress struct {
	term     uint64
	match    uint64 // index of the last entry that it surely has; 0 if it is not known
	answered time.Time
	caughtUp time.Time // when it last had all that the leader had
	asked    time.Time // when the newest request was sent that it answered
}

// note takes a member's answer to a request that was sent at that time.
func (p *progress) note(id raft.ServerID, sent time.Time, asked *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) {
	if answer.Term > asked.Term {
		return
	}
	now, end := p.now(), p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.members[id]
	if m.term != asked.Term {
		m = memberProgress{term: asked.Term}
	}
	m.answered = now
	if sent.After(m.asked) {
		m.asked = sent
	}
	if answer.Success && asked.PrevLogEntry+uint64(len(asked.Entries)) > m.match {
		m.match = asked.PrevLogEntry + uint64(len(asked.Entries))
	}
	if m.match >= end {
		m.caughtUp = now
	}
	if p.members == nil {
		p.members = map[raft.ServerID]memberProgress{}
	}
	p.members[id] = m
}

func (p *progress) of(id raft.ServerID, term uint64) (memberProgress, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.members[id]
	return m, ok && m.term == term
}

// keep forgets the members that are not in a configuration.
func (p *progress) keep(servers []raft.Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.members
	p.members = map[raft.ServerID]memberProgress{}
	for _, s := range servers {
		if m, ok := old[s.ID]; ok {
			p.members[s.ID] = m
		}
	}
}

// pipeline is raft's, with the answers noted on their way. When a request was sent it notes itself: raft does so by a clock of
// its own, and times of two clocks can't be compared.
type pipeline struct {
	raft.AppendPipeline
	now     func() time.Time
	sent    sync.Map // *raft.AppendEntriesRequest -> time.Time
	answers chan raft.AppendFuture
	closing chan struct{}
	once    sync.Once
}

func (p *progress) pipeline(id raft.ServerID, inner raft.AppendPipeline) *pipeline {
	out := &pipeline{AppendPipeline: inner, now: p.now, answers: make(chan raft.AppendFuture), closing: make(chan struct{})}
	go func() {
		for {
			select {
			case f := <-inner.Consumer():
				sent, ok := out.sent.LoadAndDelete(f.Request())
				if f.Error() == nil && ok {
					p.note(id, sent.(time.Time), f.Request(), f.Response())
				}
				select {
				case out.answers <- f:
				case <-out.closing:
					return
				}
			case <-out.closing:
				return
			}
		}
	}()
	return out
}

// AppendEntries is as raft.AppendPipeline says.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	p.sent.Store(args, p.now())
	f, err := p.AppendPipeline.AppendEntries(args, resp)
	if err != nil {
		p.sent.Delete(args)
	}
	return f, err
}

// Consumer is as raft.AppendPipeline says.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// Close is as raft.AppendPipeline says.
func (p *pipeline) Close() error {
	p.once.Do(func() { close(p.closing) })
	return p.AppendPipeline.Close()
}
