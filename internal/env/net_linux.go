package env

import (
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// unpaced is the Control of sockets before they connect or listen: those of a loopback address send as soon as there is
// something to send. Where the machine's congestion control is BBR, which spreads what is sent over time with a timer of
// each connection, they get Reno, which any process may use. No packet is lost within a machine, so neither has anything
// to control, but the timers are a tenth of the CPU of three brokers on one machine. It has to be done before: a
// connection that was BBR's once stays paced. A kernel that refuses costs speed alone, so it is no error.
func unpaced(_, address string, c syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !a.Addr().Unmap().IsLoopback() {
		return nil
	}
	return c.Control(func(fd uintptr) {
		name, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		if err == nil && strings.HasPrefix(name, "bbr") {
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
		}
	})
}
