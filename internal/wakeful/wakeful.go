// Package wakeful restarts a program in a mode in which the monitor thread of Go's runtime never sleeps deeply. The
// mains of programs that serve or measure call it before all else; it is nothing for a command that ends soon, and it
// never changes what a program does.
//
// The monitor (sysmon in the runtime's proc.go) goes to sleep once nothing runs. The next system call wakes it, and it
// then looks around every 20 µs for a millisecond: with a thousand lone requests a second that is half of a broker's
// CPU and a fifth of a request's time. It is kept from that sleep by the runtime's setting schedtrace alone, which is
// read at the start of a process and never again. It then looks every 10 ms, and more often only while system calls
// block.
//
// The price: the trace. It is asked for every 2^31 ms of the machine's time, so a machine that has been up for 25 days
// gets one line, beginning with SCHED, on standard error at the start and every 25 days after it.
//
// Read this file first: there is little else.
package wakeful

import "strings"

// setting is what the runtime has to find in the variable GODEBUG.
const setting = "schedtrace=2147483647"

// wakeful adds the setting to a value of GODEBUG. A value that has one already stays as it is, and done is set.
func wakeful(debug string) (value string, done bool) {
	for s := range strings.SplitSeq(debug, ",") {
		if strings.HasPrefix(s, "schedtrace=") {
			return debug, true
		}
	}
	if debug == "" {
		return setting, false
	}
	return debug + "," + setting, false
}
