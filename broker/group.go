package broker

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// What the handlers of consumer groups share: the way to a group's coordinator, and requests that wait for other members
// or for several coordinators.

// askGroup gives an input of package groups to the coordinator of a group. done is called once, from any goroutine and
// perhaps before askGroup returns, and must not block.
func (s *Server) askGroup(group string, input any, done func(value any, err error)) {
	if s.groups == nil {
		done(nil, kafkaproto.ErrCoordinatorNotAvailable)
		return
	}
	n, ok := s.groups.Partitions()
	if !ok {
		// There is no group yet, and so no coordinator: a client finds one by FindCoordinator, which makes the topic.
		done(nil, kafkaproto.ErrNotCoordinator)
		return
	}
	s.groups.Submit(groups.PartitionFor(group, n), input, done)
}

// answerOf is a coordinator's answer in the type that its input promises.
func answerOf[A any](value any, err error) (answer A, _ error) {
	if err != nil {
		return answer, err
	}
	answer, ok := value.(A)
	if !ok {
		return answer, kafkaproto.ErrUnknownServerError
	}
	return answer, nil
}

// parked is a request that may wait for other members of a group for minutes. When its connection drains or has gone it
// is answered at once; what the coordinator says later is nobody's then.
type parked struct {
	r        *request
	answered atomic.Bool
}

// park makes r wait. left is the answer for the case that it can wait no longer, in which the caller has nothing to do. From here on
// the request's frame may be given back at any time: what is needed of it must have been copied.
func park(r *request, left func() kmsg.Response) (p *parked, waits bool) {
	p = &parked{r: r}
	leave := func() { p.reply(left()) }
	if !r.wait(leave) {
		leave()
		return p, false
	}
	return p, true
}

func (p *parked) reply(resp kmsg.Response) {
	if p.answered.CompareAndSwap(false, true) {
		p.r.reply(resp)
	}
}

// gathering answers a request when all the coordinators that it asks have answered. Each part of the response is written
// by the answer that belongs to it alone, so there is no lock.
type gathering struct {
	r    *request
	resp kmsg.Response
	left atomic.Int32
}

// gather begins with one part too many, so that no answer ends the request before all were asked; the handler ends it by
// calling done itself.
func gather(r *request, resp kmsg.Response, parts int) *gathering {
	g := &gathering{r: r, resp: resp}
	g.left.Store(int32(parts) + 1)
	return g
}

// done counts a part off, and answers after the last.
func (g *gathering) done() {
	if g.left.Add(-1) == 0 {
		g.r.reply(g.resp)
	}
}

// newMemberID is the id that a new member gets: its instance id or its client's, and a random UUID (RFC 4122, version 4).
func newMemberID(rand env.Rand, clientID string, instanceID *string) string {
	if instanceID != nil {
		clientID = *instanceID
	}
	var u [16]byte
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%s-%x-%x-%x-%x-%x", clientID, u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// memberHost is a client's address as Kafka prints it to group tools: Java's InetAddress without a name, "/1.2.3.4".
func memberHost(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return "/" + ip
	}
	if a = a.Unmap(); a.Is4() {
		return "/" + a.String()
	}
	b := a.As16()
	words := make([]string, 0, 8)
	for i := 0; i < len(b); i += 2 {
		words = append(words, fmt.Sprintf("%x", uint16(b[i])<<8|uint16(b[i+1])))
	}
	host := "/" + strings.Join(words, ":")
	if a.Zone() != "" {
		host += "%" + a.Zone()
	}
	return host
}

// textOf is the string behind a pointer, empty for nil.
func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
