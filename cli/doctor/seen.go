package doctor

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Endpoint is all that was seen of one host and port.
type Endpoint struct {
	Host   string
	Port   int
	Lookup Lookup
	Dials  []Dial  // one for each address, in the resolver's order
	Answer *Answer // nil: no address accepted a connection
}

func (e *Endpoint) String() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// Lookup is what the name resolved to.
type Lookup struct {
	Literal bool // the host is an address, there was nothing to resolve
	Addrs   []netip.Addr
	Failure Failure // None if there are Addrs
	Err     string
}

// Failure is why a name was not resolved or an address not reached, as far as it matters for what to do.
type Failure string

// The failures that are told apart.
const (
	None        Failure = ""
	NotFound    Failure = "not found"   // the resolver says there is no such name
	Refused     Failure = "refused"     // the host answered that nobody listens
	TimedOut    Failure = "no answer"   // nothing came back in time
	Unreachable Failure = "unreachable" // this machine or a router has no way there
	Failed      Failure = "failed"      // anything else, Err says what
)

// Dial is one attempt to connect.
type Dial struct {
	Addr    netip.Addr
	Failure Failure
	Err     string
	Took    time.Duration
}

// Kind is what answers on a port.
type Kind string

// What can be told apart. Only of a Broker is more known.
const (
	Broker   Kind = "Kafka broker"
	Closes   Kind = "closes the connection"
	Silent   Kind = "never answers"
	HTTP     Kind = "HTTP server"
	Stranger Kind = "not Kafka"
)

// Answer is what was heard on a connection.
type Answer struct {
	From     netip.Addr
	Kind     Kind
	First    []byte    // what a stranger said first
	TLS      *TLS      // nil: plain text
	OnlyOld  bool      // it had no answer to the newest ApiVersions, but to version 0
	Versions *Versions // nil unless Kind is Broker
	SASL     *SASL     // nil unless requests are refused before a login
	View     *View     // nil if Metadata could not be had
	Failure  string    // why there is no View, if neither SASL nor Versions explains it
	Identity Identity
	Services Services // of a bootstrap address
}

// Services are those of a cluster that clients need beside topics, as far as asking changes nothing.
type Services struct {
	Coordinator *Coordinator
	Configs     *int16  // error code of DescribeConfigs; nil: not asked, or no answer
	Quorum      *Quorum // nil: there is none to ask for, or no answer
}

// Quorum is the metadata quorum as its leader describes it.
type Quorum struct {
	Code   int16
	Leader int32 // -1: none
	Timed  bool  // the times of the voters are told
	Voters []Voter
}

// Voter is a member of the quorum that votes.
type Voter struct {
	ID    int32
	Heard time.Time // by the leader, on its clock; zero: never
}

// Coordinator is the answer to who coordinates a group that nobody has.
type Coordinator struct {
	Code   int16
	Member Member
}

// TLS is what the handshake showed. Nothing was verified to get there.
type TLS struct {
	Err      string // the handshake failed
	Asked    bool   // for a certificate, before it failed
	Names    []string
	NotAfter time.Time
	NameErr  string // the certificate is not for the host that was asked for
	TrustErr string // this machine's trusted authorities don't vouch for it
}

// Versions is the answer to ApiVersions.
type Versions struct {
	Asked     int16 // version it was answered in
	Code      int16 // Kafka's error code
	Ranges    map[int16]Range
	Finalized map[string]int16 // feature -> level
}

// Range is the versions of one API.
type Range struct{ Min, Max int16 }

// best is the newest version both sides know; false if there is none.
func (v *Versions) best(key, own int16) (int16, bool) {
	r, ok := v.Ranges[key]
	n := min(r.Max, own)
	return n, ok && n >= r.Min && n >= 0
}

// SASL is the answer to a handshake for a mechanism that does not exist, which makes a broker list those that do.
type SASL struct{ Mechanisms []string }

// View is the cluster as one broker describes it.
type View struct {
	Version    int16 // of Metadata; 0 knows no controller, up to 1 no cluster id
	ClusterID  string
	Controller int32 // -1: none, or not told
	Brokers    []Member
	LeftOut    int // brokers beyond those that are looked at
	Partitions int
	Leaderless []string // "topic-partition", the first few
	NoLeader   int      // how many
	Lagging    []string // partitions with replicas that are not in sync, the first few
	NumLagging int
	Behind     []int32  // the brokers of these replicas
	Lost       []string // partitions whose leader is not among the brokers, the first few
	NumLost    int
	Led        map[int32][]Partition // some that each broker leads
	Offsets    bool                  // there is a topic for the offsets of consumer groups
}

// Member is one broker of a View.
type Member struct {
	ID     int32
	Host   string
	Port   int32
	Rack   string
	Fenced bool // known to the controller, but given to no client
}

func (m Member) String() string { return net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port))) }

// Partition names one.
type Partition struct {
	Topic string
	Num   int32
}

// Identity is what a broker says when asked whether it is the one expected there.
type Identity struct {
	Checked bool      // it could be asked
	Match   bool      // it is
	Newest  time.Time // the newest timestamp in some partitions it leads; zero: none known
}
