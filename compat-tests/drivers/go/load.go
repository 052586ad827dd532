package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// load is a producer that sends numbered records at a rate until it is told to stop, and writes down each acknowledgement.
// All that is not said in ../README.md is the library's default.
type load struct {
	client *kgo.Client
	cancel context.CancelFunc
	sender sync.WaitGroup

	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	sent int
}

var loading *load

// loadSize is the size of a record's value.
const loadSize = 100

func doLoad(ctx context.Context, lib library, req *request) (fields, error) {
	if req.Op == "load" {
		f, ok := lib.(*franz)
		if !ok {
			return nil, errUnsupported
		}
		var partitions int
		if err := json.Unmarshal(req.Partitions, &partitions); err != nil {
			return nil, err
		}
		l, err := startLoad(f, req, partitions)
		loading = l
		return nil, err
	}
	if loading == nil {
		return nil, fmt.Errorf("no load")
	}
	l := loading
	loading = nil
	sent, err := l.stop(ctx)
	return fields{"sent": sent}, err
}

func startLoad(f *franz, req *request, partitions int) (*load, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(f.bootstrap...), kgo.ClientID(req.Name), kgo.DefaultProduceTopic(req.Topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}
	if req.RequestTimeout > 0 {
		limit := time.Duration(req.RequestTimeout) * time.Millisecond
		opts = append(opts, kgo.ProduceRequestTimeout(limit/2), kgo.RequestTimeoutOverhead(limit/2))
	}
	file, err := os.Create(req.Path)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{client: client, cancel: cancel, file: file, out: bufio.NewWriter(file)}
	l.sender.Go(func() { l.send(ctx, req.Name, req.Rate, partitions) })
	return l, nil
}

// send keeps to the rate as a whole: what a full buffer held up is made good for.
func (l *load) send(ctx context.Context, name string, rate, partitions int) {
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		for due := int(time.Since(began).Seconds() * float64(rate)); l.sent < due && ctx.Err() == nil; l.sent++ {
			n := l.sent
			r := &kgo.Record{Partition: int32(n % partitions), Value: loadValue(name, n)}
			l.client.Produce(context.Background(), r, func(r *kgo.Record, err error) { l.told(n, r, err) })
		}
		<-tick.C
		l.flushFile()
	}
}

func loadValue(name string, n int) []byte {
	value := append(strconv.AppendInt([]byte(name+" "), int64(n), 10), ' ')
	return append(value, bytes.Repeat([]byte("x"), max(0, loadSize-len(value)))...)
}

func (l *load) told(n int, r *kgo.Record, err error) {
	at := time.Now().UnixMicro()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		fmt.Fprintf(l.out, "%d %d -1 %d %s\n", n, r.Partition, at, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Fprintf(l.out, "%d %d %d %d\n", n, r.Partition, r.Offset, at)
}

func (l *load) flushFile() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Flush()
}

func (l *load) stop(ctx context.Context) (int, error) {
	l.cancel()
	l.sender.Wait()
	err := l.client.Flush(ctx)
	l.client.Close()
	l.flushFile()
	if closing := l.file.Close(); err == nil {
		err = closing
	}
	return l.sent, err
}
