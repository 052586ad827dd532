package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// hello is what both ends of a connection to a cluster listener say first, before any raft message. It keeps apart nodes
// of different clusters, and finds out at once when an address belongs to another node than the quorum believes. docs/format/hello.md has
// the bytes.
type hello struct {
	Purpose     byte
	ClusterID   string // empty while the cluster has none
	NodeID      int32
	DirectoryID [16]byte
	Wanted      string // the ServerID that the caller means; empty if any will do
	Refusal     string // in the answer: why not; empty if welcome
	Member      bool   // in the answer: the caller is in the quorum's configuration
}

// Purposes of a connection.
const (
	purposeRaft  byte = 1
	purposeProbe byte = 2 // only the answer is of interest
	purposeAsk   byte = 3 // requests to the active controller (frame.go)
	purposeAlive byte = 4 // the same, for a broker's heartbeats: that it is open says that the broker's process lives
)

const (
	helloMagic   = "SBCL\x01"
	maxHelloText = 1024
)

func (h hello) serverID() string { return serverID(h.NodeID, h.DirectoryID) }

func (h hello) write(w io.Writer) error {
	b := append([]byte(helloMagic), h.Purpose)
	b = binary.BigEndian.AppendUint32(b, uint32(h.NodeID))
	b = append(b, h.DirectoryID[:]...)
	for _, s := range []string{h.ClusterID, h.Wanted, h.Refusal} {
		s = s[:min(len(s), maxHelloText)]
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	member := byte(0)
	if h.Member {
		member = 1
	}
	_, err := w.Write(append(b, member))
	return err
}

// errNotCluster is what a caller that speaks something else gets.
var errNotCluster = errors.New("not a StreamBus node, or one of another version")

// stranger says what a caller that is no node seems to be, by the first bytes that it sent.
func stranger(head [len(helloMagic)]byte) error {
	text := string(head[:])
	switch {
	case text[:len(text)-1] == helloMagic[:len(helloMagic)-1]:
		return fmt.Errorf("%w: version %d of the cluster's protocol, this is %d", errNotCluster, text[len(text)-1], helloMagic[len(helloMagic)-1])
	case head[0] == 0 && head[1] == 0 && head[4] == 0: // a frame below 64 KiB, a request below 256
		return fmt.Errorf("%w: a Kafka client, it seems, which must call a listener for clients (listeners, --listen)", errNotCluster)
	case head[0] == 0x16 && head[1] == 3:
		return fmt.Errorf("%w: a TLS handshake", errNotCluster)
	case strings.HasPrefix(text, "GET ") || strings.HasPrefix(text, "POST") || strings.HasPrefix(text, "HEAD") || strings.HasPrefix(text, "PUT "):
		return fmt.Errorf("%w: HTTP, which the admin listener speaks", errNotCluster)
	}
	return errNotCluster
}

func readHello(r io.Reader) (hello, error) {
	var h hello
	var magic [len(helloMagic)]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return h, err
	}
	if string(magic[:]) != helloMagic {
		return h, stranger(magic)
	}
	rest := make([]byte, 1+4+16)
	if _, err := io.ReadFull(r, rest); err != nil {
		return h, err
	}
	h.Purpose = rest[0]
	h.NodeID = int32(binary.BigEndian.Uint32(rest[1:]))
	copy(h.DirectoryID[:], rest[5:])
	for _, s := range []*string{&h.ClusterID, &h.Wanted, &h.Refusal} {
		var n [2]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return h, err
		}
		size := binary.BigEndian.Uint16(n[:])
		if size > maxHelloText {
			return h, errNotCluster
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(r, text); err != nil {
			return h, err
		}
		*s = string(text)
	}
	var member [1]byte
	_, err := io.ReadFull(r, member[:])
	h.Member = member[0] != 0
	return h, err
}

// refusal is why a caller is not welcome, or empty.
func (h hello) refusal(caller hello) string {
	switch {
	case caller.ClusterID != "" && h.ClusterID != "" && caller.ClusterID != h.ClusterID:
		return fmt.Sprintf("this is cluster %s, not %s", h.ClusterID, caller.ClusterID)
	case caller.Wanted != "" && caller.Wanted != h.serverID():
		return fmt.Sprintf("this is %s, not %s", h.serverID(), caller.Wanted)
	case caller.NodeID == h.NodeID && caller.DirectoryID != h.DirectoryID:
		return fmt.Sprintf("node id %d is taken", h.NodeID)
	case caller.Purpose < purposeRaft || caller.Purpose > purposeAlive:
		return fmt.Sprintf("unknown purpose %d", caller.Purpose)
	}
	return ""
}
