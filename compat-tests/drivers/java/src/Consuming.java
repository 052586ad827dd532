import java.io.BufferedOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/** The op that consumes into a file. */
final class Consuming {
    private Consuming() {
    }

    /** Gives the count of records. */
    static long file(Driver driver, Request r) throws Exception {
        Map<Integer, Long> waiting = new HashMap<>(); // partition -> its end
        List<TopicPartition> partitions = new ArrayList<>();
        List<?> ends = r.list("ends");
        for (int p = 0; p < ends.size(); p++) {
            if ((Long) ends.get(p) > 0) {
                waiting.put(p, (Long) ends.get(p));
                partitions.add(new TopicPartition(r.text("topic"), p));
            }
        }
        long count = 0;
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(Paths.get(r.text("path"))), 1 << 16)) {
            if (waiting.isEmpty()) {
                return 0;
            }
            Reader reader = new Reader(driver.consumer(Collections.emptyMap()), partitions, "start");
            while (!waiting.isEmpty()) {
                for (ConsumerRecord<byte[], byte[]> record : reader.read(500, 200)) {
                    Long end = waiting.get(record.partition());
                    if (end == null || record.offset() >= end) {
                        continue;
                    }
                    out.write((record.partition() + "\t").getBytes(StandardCharsets.US_ASCII));
                    if (record.value() != null) {
                        out.write(record.value());
                    }
                    out.write('\n');
                    count++;
                    if (record.offset() + 1 >= end) {
                        waiting.remove(record.partition());
                    }
                }
            }
            reader.close();
        }
        return count;
    }
}
