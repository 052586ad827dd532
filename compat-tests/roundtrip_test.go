package compat

import (
	"fmt"
	"slices"
	"testing"
)

// TestRealInputComesBackTheSame sends real input by every writer into topics of one and of twelve partitions and reads it
// back by every reader: the same lines, in the same order within each partition.
func TestRealInputComesBackTheSame(t *testing.T) {
	c := realInput(t)
	t.Logf("%d lines", len(c.lines))
	b := startBroker(t)
	writers := []writer{
		kcatWriter("kcat-none", "-z", "none"),
		kcatWriter("kcat-gzip", "-z", "gzip"),
		kcatWriter("kcat-snappy", "-z", "snappy"),
		kcatWriter("kcat-lz4", "-z", "lz4"),
		kcatWriter("kcat-zstd", "-z", "zstd"),
		kcatWriter("kcat-idempotent", "-X", "enable.idempotence=true"),
		javaWriter,
		goWriter,
	}
	t.Run("all", func(t *testing.T) { // so that the broker outlives the parallel tests
		for _, w := range writers {
			for _, partitions := range []int{1, 12} {
				t.Run(fmt.Sprintf("%s/%d", w.name, partitions), func(t *testing.T) {
					t.Parallel()
					roundTrip(t, b, c, w, partitions)
				})
			}
		}
	})
}

func roundTrip(t *testing.T, b *broker, c *corpus, w writer, partitions int) {
	for _, tool := range w.needs {
		needTool(t, tool)
	}
	topic := fmt.Sprintf("packages-%s-%d", w.name, partitions)
	createTopic(t, b, topic, partitions)
	w.write(t, b, topic, c)
	ends := endOffsets(t, b, topic, partitions)
	if partitions > 1 && slices.Contains(ends, 0) {
		t.Logf("not every partition got records: %v", ends)
	}
	var first *checker
	for _, r := range readersFor(t, w, partitions) {
		k := newChecker(c, partitions)
		r.read(t, b, topic, ends, k.add)
		k.done(t, r.name)
		if first == nil {
			first = k
		} else if !slices.Equal(k.digest, first.digest) {
			t.Errorf("%s and %s do not agree on which line is where", r.name, goReader.name)
		}
	}
}

// readersFor leaves out a Java process for each partition of twelve but for one writer (all with COMPAT_FULL), since
// every pair of a writer and a reader meets in the topic of one partition.
func readersFor(t *testing.T, w writer, partitions int) []reader {
	needTool(t, "kcat")
	readers := []reader{goReader, kcatReader}
	if partitions == 1 || w.name == "kcat-zstd" || full {
		needJava(t)
		readers = append(readers, javaReader)
	}
	return readers
}
