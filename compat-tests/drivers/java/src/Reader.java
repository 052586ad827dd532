import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.common.TopicPartition;

/** A consumer with assigned partitions and no group. */
final class Reader {
    private final Consumer<byte[], byte[]> consumer;
    private final Deque<ConsumerRecord<byte[], byte[]>> polled = new ArrayDeque<>();

    /** Where to begin: "start", "end", or a map of "offset" or "time". */
    Reader(Consumer<byte[], byte[]> consumer, List<TopicPartition> partitions, Object from) {
        this.consumer = consumer;
        consumer.assign(partitions);
        if ("start".equals(from)) {
            consumer.seekToBeginning(partitions);
        } else if ("end".equals(from)) {
            consumer.seekToEnd(partitions);
        } else {
            for (TopicPartition p : partitions) {
                seek(p, (Map<?, ?>) from);
            }
        }
    }

    private void seek(TopicPartition p, Map<?, ?> from) {
        if (from.containsKey("offset")) {
            consumer.seek(p, (Long) from.get("offset"));
            return;
        }
        Map<TopicPartition, Long> wanted = Collections.singletonMap(p, (Long) from.get("time"));
        OffsetAndTimestamp found = consumer.offsetsForTimes(wanted).get(p);
        if (found == null) {
            consumer.seekToEnd(Collections.singletonList(p));
        } else {
            consumer.seek(p, found.offset());
        }
    }

    long position(TopicPartition p) {
        return consumer.position(p);
    }

    List<ConsumerRecord<byte[], byte[]>> read(int max, long timeoutMs) {
        long deadline = System.nanoTime() + timeoutMs * 1_000_000;
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        while (records.size() < max) {
            if (polled.isEmpty()) {
                long left = (deadline - System.nanoTime()) / 1_000_000;
                if (left <= 0) {
                    break;
                }
                for (ConsumerRecord<byte[], byte[]> r : Calls.poll(consumer, Math.min(left, 200))) {
                    polled.add(r);
                }
            } else {
                records.add(polled.poll());
            }
        }
        return records;
    }

    void close() {
        consumer.close();
    }
}
