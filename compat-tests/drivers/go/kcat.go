package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// kcat drives kcat, librdkafka's command line: each call is a process of its own.
type kcat struct{ bootstrap string }

func newKcat(bootstrap string) (library, string, error) {
	if _, err := exec.LookPath("kcat"); err != nil {
		return nil, "", fmt.Errorf("%w: %w", errNotInstalled, err)
	}
	out, err := exec.Command("kcat", "-V").CombinedOutput()
	if err != nil {
		return nil, "", err
	}
	found := regexp.MustCompile(`Version (\S+) .*librdkafka (\S+)`).FindSubmatch(out)
	if found == nil {
		return nil, "", fmt.Errorf("no version in %q", out)
	}
	return &kcat{bootstrap}, fmt.Sprintf("%s (librdkafka %s)", found[1], found[2]), nil
}

func (k *kcat) close() error { return nil }

func (k *kcat) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "kcat", append([]string{"-b", k.bootstrap}, args...)...)
	cmd.SysProcAttr = dieWithParent()
	return cmd
}

func (k *kcat) run(ctx context.Context, args ...string) (string, error) {
	cmd := k.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, errs.Bytes())
	}
	return out.String(), nil
}

func (k *kcat) flags(p producing) ([]string, error) {
	switch p.codec {
	case "none", "gzip", "snappy", "lz4", "zstd":
	default:
		return nil, fmt.Errorf("codec %q: %w", p.codec, errUnsupported)
	}
	args := []string{"-P", "-t", p.topic, "-z", p.codec}
	if p.idempotent != nil {
		args = append(args, "-X", fmt.Sprintf("enable.idempotence=%t", *p.idempotent))
	}
	return args, nil
}

// produce runs kcat once per record: the options hold for all messages of a run.
func (k *kcat) produce(ctx context.Context, p producing, records []record) ([][2]int64, error) {
	base, err := k.flags(p)
	if err != nil {
		return nil, err
	}
	for _, rec := range records {
		if rec.Timestamp != nil {
			return nil, fmt.Errorf("timestamps: %w", errUnsupported)
		}
		args := append([]string{}, base...)
		if rec.Partition != nil {
			args = append(args, "-p", strconv.Itoa(int(*rec.Partition)))
		}
		if rec.Key != nil {
			args = append(args, "-k", string(rec.Key))
		}
		for _, h := range rec.Headers {
			args = append(args, "-H", h.Key+"="+string(h.Value))
		}
		if err := k.produceOne(ctx, rec.Value, args); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// produceOne sends a value as a file of its own, and no value as a line that has a key alone.
func (k *kcat) produceOne(ctx context.Context, value []byte, args []string) error {
	if value == nil {
		key := slices.Index(args, "-k") + 1 // the value is what is null here
		line := args[key] + "\x1d\n"
		cmd := k.command(ctx, append(slices.Delete(args, key-1, key+1), "-Z", "-K", "\x1d")...)
		cmd.Stdin = strings.NewReader(line)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	file, err := os.CreateTemp("", "kcat-value")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(value); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	_, err = k.run(ctx, append(args, file.Name())...)
	return err
}

func (k *kcat) produceFile(ctx context.Context, p producing, path string, partition *int32) (int, error) {
	args, err := k.flags(p)
	if err != nil {
		return 0, err
	}
	if partition != nil {
		args = append(args, "-p", strconv.Itoa(int(*partition)))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	_, err = k.run(ctx, append(args, "-l", path)...)
	return bytes.Count(text, []byte("\n")), err
}

// query asks for an offset by time: -1 is the end of the log, -2 its start.
func (k *kcat) query(ctx context.Context, topic string, p int32, ms int64) (int64, error) {
	out, err := k.run(ctx, "-Q", "-t", fmt.Sprintf("%s:%d:%d", topic, p, ms))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(out) // topic [0] offset 12
	if len(fields) != 4 {
		return 0, fmt.Errorf("kcat -Q says %q", out)
	}
	return strconv.ParseInt(fields[3], 10, 64)
}

func (k *kcat) openReader(ctx context.Context, topic string, p int32, from start) (reader, int64, error) {
	position, at := from.offset, strconv.FormatInt(from.offset, 10)
	var err error
	switch from.at {
	case "start":
		at = "beginning"
		position, err = k.query(ctx, topic, p, -2)
	case "end":
		position, err = k.query(ctx, topic, p, -1)
		at = strconv.FormatInt(position, 10)
	case "time":
		at = "s@" + at
		position, err = k.query(ctx, topic, p, from.offset)
	}
	if err != nil {
		return nil, 0, err
	}
	c, err := k.consume("-C", "-t", topic, "-p", strconv.Itoa(int(p)), "-o", at)
	if err != nil {
		return nil, 0, err
	}
	return c, position, nil
}

// consuming is a running kcat that prints records.
type consuming struct {
	cmd     *exec.Cmd
	records chan record // closed when kcat has ended
	errs    *bufio.Scanner
	cancel  context.CancelFunc
}

// format has the lengths before the bytes, so that any bytes can be read back.
const format = `%p %o %T %K %S %h\n%k%s\n`

func (k *kcat) consume(args ...string) (*consuming, error) {
	ctx, cancel := context.WithCancel(context.Background())
	args = append([]string{"-u", "-f", format, "-X", "fetch.wait.max.ms=250"}, args...)
	c := &consuming{cmd: k.command(ctx, args...), records: make(chan record, 1000), cancel: cancel}
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	c.errs = bufio.NewScanner(errs)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go c.parse(ctx, bufio.NewReaderSize(out, 1<<20))
	return c, nil
}

func (c *consuming) parse(ctx context.Context, out *bufio.Reader) {
	defer close(c.records)
	for {
		rec, err := parseRecord(out)
		if err != nil {
			return
		}
		select {
		case c.records <- rec:
		case <-ctx.Done():
			return
		}
	}
}

func parseRecord(in *bufio.Reader) (record, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return record{}, err
	}
	parts := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 6)
	var n [5]int64
	for i := range n {
		if n[i], err = strconv.ParseInt(parts[i], 10, 64); err != nil {
			return record{}, err
		}
	}
	p, ms := int32(n[0]), n[2]
	rec := record{Partition: &p, Offset: n[1], Timestamp: &ms}
	body := make([]byte, max(n[3], 0)+max(n[4], 0)+1)
	for at := 0; at < len(body); {
		got, err := in.Read(body[at:])
		if err != nil {
			return record{}, err
		}
		at += got
	}
	if n[3] >= 0 {
		rec.Key = body[:n[3]]
	}
	if n[4] >= 0 {
		rec.Value = body[max(n[3], 0) : len(body)-1]
	}
	if len(parts) == 6 && parts[5] != "" {
		for h := range strings.SplitSeq(parts[5], ",") {
			key, value, _ := strings.Cut(h, "=")
			rec.Headers = append(rec.Headers, header{key, []byte(value)})
		}
	}
	return rec, nil
}

func (c *consuming) read(ctx context.Context, limit int) ([]record, error) {
	var records []record
	for len(records) < limit {
		select {
		case rec, ok := <-c.records:
			if !ok {
				return records, errors.New("kcat has ended")
			}
			records = append(records, rec)
		case <-ctx.Done():
			return records, nil
		}
	}
	return records, nil
}

func (c *consuming) close() error {
	c.cancel()
	for range c.records {
	}
	if err := c.cmd.Wait(); err != nil && !strings.Contains(err.Error(), "context canceled") {
		return err
	}
	return nil
}

// kcatMember is kcat -G. It commits by itself, what it has printed.
type kcatMember struct {
	*inbox
	c       *consuming
	running sync.WaitGroup
}

func (k *kcat) join(_ context.Context, j joining) (member, error) {
	args := []string{
		"-X", "auto.offset.reset=earliest", "-X", fmt.Sprintf("session.timeout.ms=%d", j.session.Milliseconds()),
		"-X", fmt.Sprintf("heartbeat.interval.ms=%d", j.heartbeat().Milliseconds()), "-X", "auto.commit.interval.ms=200",
		"-X", "client.id=" + strings.TrimSpace(j.clientID+" "),
	}
	if j.clientID == "" {
		args[len(args)-1] = "client.id=kcat"
	}
	if j.instance != "" {
		args = append(args, "-X", "group.instance.id="+j.instance)
	}
	switch j.assignor {
	case "":
	case "range", "roundrobin", "cooperative-sticky":
		args = append(args, "-X", "partition.assignment.strategy="+j.assignor)
	default:
		return nil, fmt.Errorf("assignor %q: %w", j.assignor, errUnsupported)
	}
	// -E: it would else end when librdkafka has lost all the connections that it has, though there are other brokers.
	c, err := k.consume(append(append(args, "-E", "-G", j.group), j.topics...)...)
	if err != nil {
		return nil, err
	}
	m := &kcatMember{inbox: newInbox(), c: c}
	m.keeps = true
	m.running.Go(m.readErrors)
	m.running.Go(func() {
		for rec := range c.records {
			m.add(topicPartition{j.topics[0], *rec.Partition}, rec)
		}
	})
	return m, nil
}

// readErrors follows the assignment by what kcat says of each rebalance:
// `% Group g rebalanced (...): assigned: t [0], t [1]`, or `...: incremental assignment of 2 partition(s) (...): t [0], ...`.
func (m *kcatMember) readErrors() {
	for m.c.errs.Scan() {
		line := m.c.errs.Text()
		_, rest, ok := strings.Cut(line, " rebalanced")
		if !ok {
			if !strings.Contains(line, "Reached end of topic") && !strings.Contains(line, "Waiting for group rebalance") {
				fmt.Fprintln(os.Stderr, line)
			}
			continue
		}
		at := strings.LastIndex(rest, ": ")
		var tps []topicPartition
		for part := range strings.SplitSeq(rest[at+1:], ", ") {
			var tp topicPartition
			if _, err := fmt.Sscanf(part, "%s [%d]", &tp.topic, &tp.partition); err == nil {
				tps = append(tps, tp)
			}
		}
		if head := rest[:max(at, 0)]; strings.Contains(head, "revo") || strings.Contains(head, "unassign") {
			m.revoke(tps...)
		} else {
			m.assign(false, tps...)
		}
	}
}

func (m *kcatMember) commit(context.Context) ([]committedOffset, error) { return nil, errUnsupported }

func (m *kcatMember) leave() error {
	m.c.cancel()
	m.running.Wait()
	err := m.c.cmd.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (k *kcat) offsetForTime(ctx context.Context, topic string, p int32, ms int64) (*int64, error) {
	offset, err := k.query(ctx, topic, p, ms)
	if err != nil {
		return nil, err
	}
	end, err := k.query(ctx, topic, p, -1)
	if err != nil || offset < 0 || offset >= end { // kcat prints the end where no record is that late
		return nil, err
	}
	return &offset, nil
}

func (k *kcat) createTopic(context.Context, string, int32, int16, map[string]string) error {
	return errUnsupported
}
func (k *kcat) deleteTopic(context.Context, string) error { return errUnsupported }
func (k *kcat) committed(context.Context, string, string, []int32) ([]*int64, error) {
	return nil, errUnsupported
}
func (k *kcat) describeConfig(context.Context, string) (map[string]string, error) {
	return nil, errUnsupported
}
func (k *kcat) alterConfig(context.Context, string, map[string]string, []string) error {
	return errUnsupported
}
func (k *kcat) deleteRecords(context.Context, string, map[int32]int64) (map[int32]int64, error) {
	return nil, errUnsupported
}
func (k *kcat) listGroups(context.Context) ([]string, error) { return nil, errUnsupported }
func (k *kcat) describeGroup(context.Context, string) (string, []string, error) {
	return "", nil, errUnsupported
}
