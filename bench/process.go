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

// meter compares two readings of the broker and of this process.
type meter struct {
	pid          int
	broker, self usage
}

// startMeter reads the first time. The error is about the broker's process: not there, or no /proc.
func startMeter(pid int) (*meter, error) {
	m := &meter{pid: pid, self: selfUsage()}
	if pid == 0 {
		return m, nil
	}
	var err error
	m.broker, err = processUsage(pid)
	return m, err
}

// read fills r's processes with what was used since startMeter.
func (m *meter) read(r *Result, took time.Duration) error {
	r.Driver = process(os.Getpid(), selfUsage().cpu-m.self.cpu, took, r.Records)
	_ = r.Driver.memory() // the driver's own memory is a courtesy, and there is no /proc on some systems
	if m.pid == 0 {
		return nil
	}
	now, err := processUsage(m.pid)
	if err != nil {
		return err
	}
	r.Broker = process(m.pid, now.cpu-m.broker.cpu, took, r.Records)
	return r.Broker.memory()
}

func process(pid int, cpu, took time.Duration, records int64) *Process {
	p := &Process{PID: pid, CPUSeconds: cpu.Seconds()}
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

func (p *Process) memory() error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return fmt.Errorf("memory of process %d: %w", p.PID, err)
	}
	p.parseStatus(status)
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
			p.RSS = kb << 10
		case "RssAnon":
			p.Anonymous = kb << 10
		case "VmHWM":
			p.Peak = kb << 10
		}
	}
}

// Memory reads what a process holds now; its CPU fields are zero.
func Memory(pid int) (*Process, error) {
	p := &Process{PID: pid}
	return p, p.memory()
}
