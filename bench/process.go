package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTicks is the unit of /proc/PID/stat's times. It is 100 a second on every Linux that Go runs on.
const clockTicks = 100

// usage is a reading of a process's CPU time.
type usage struct{ cpu time.Duration }

// meter compares two readings of the brokers and of this process.
type meter struct {
	pids         []int
	broker, self usage
}

// startMeter reads the first time. The error is about a broker's process: not there, or no /proc.
func startMeter(pids []int) (*meter, error) {
	m := &meter{pids: pids, self: selfUsage()}
	var err error
	m.broker, err = usageOf(pids)
	return m, err
}

// read fills r's processes with what was used since startMeter.
func (m *meter) read(r *Result, took time.Duration) error {
	r.Driver = process([]int{os.Getpid()}, selfUsage().cpu-m.self.cpu, took, r.Records)
	_ = r.Driver.memory() // the driver's own memory is a courtesy, and there is no /proc on some systems
	if len(m.pids) == 0 {
		return nil
	}
	now, err := usageOf(m.pids)
	if err != nil {
		return err
	}
	r.Broker = process(m.pids, now.cpu-m.broker.cpu, took, r.Records)
	return r.Broker.memory()
}

func process(pids []int, cpu, took time.Duration, records int64) *Process {
	p := &Process{PIDs: pids, CPUSeconds: cpu.Seconds()}
	if took > 0 {
		p.CPUPercent = 100 * cpu.Seconds() / took.Seconds()
	}
	if records > 0 {
		p.MicrosPerRecord = cpu.Seconds() * 1e6 / float64(records)
	}
	return p
}

func selfUsage() usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}
	}
	return usage{time.Duration(r.Utime.Nano() + r.Stime.Nano())}
}

// usageOf is what processes have used together.
func usageOf(pids []int) (sum usage, err error) {
	for _, pid := range pids {
		u, err := processUsage(pid)
		if err != nil {
			return sum, err
		}
		sum.cpu += u.cpu
	}
	return sum, nil
}

func processUsage(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return parseStat(stat)
}

// parseStat finds utime and stime, the 14th and 15th field. The second one, the name, may hold blanks and brackets:
// counting starts behind its last bracket.
func parseStat(stat []byte) (usage, error) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return usage{}, errors.New("unknown form of /proc/PID/stat")
	}
	fields := strings.Fields(string(stat[i+1:]))
	if len(fields) < 13 {
		return usage{}, errors.New("unknown form of /proc/PID/stat")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return usage{}, err
	}
	return usage{time.Duration(user+system) * (time.Second / clockTicks)}, nil
}

// memory sums up what the processes hold.
func (p *Process) memory() error {
	for _, pid := range p.PIDs {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return fmt.Errorf("memory of process %d: %w", pid, err)
		}
		p.parseStatus(status)
	}
	return nil
}

func (p *Process) parseStatus(status []byte) {
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			p.RSS += kb << 10
		case "RssAnon":
			p.Anonymous += kb << 10
		case "VmHWM":
			p.Peak += kb << 10
		}
	}
}

// Written reads how many bytes a process has had written to disks so far, or to the page cache for them.
func Written(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, fmt.Errorf("bytes written by process %d: %w", pid, err)
	}
	return parseIO(text)
}

func parseIO(text []byte) (int64, error) {
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == "write_bytes" {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("unknown form of /proc/PID/io")
}

// OpenFiles counts a process's descriptors, sockets among them.
func OpenFiles(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("open files of process %d: %w", pid, err)
	}
	return len(list), nil
}

// Memory reads what a process holds now; its CPU fields are zero.
func Memory(pid int) (*Process, error) {
	p := &Process{PIDs: []int{pid}}
	return p, p.memory()
}
