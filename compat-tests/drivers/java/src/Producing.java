import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The ops that produce. */
final class Producing {
    private Producing() {
    }

    private static KafkaProducer<byte[], byte[]> producer(Driver driver, Request r) {
        String codec = r.get("codec") == null ? "none" : r.text("codec");
        Calls.needCodec(codec);
        Properties p = driver.properties();
        p.put("acks", "all");
        p.put("compression.type", codec);
        p.put("linger.ms", "5");
        p.put("max.request.size", "10000000");
        if (r.get("idempotent") != null) {
            p.put("enable.idempotence", r.get("idempotent").toString());
        }
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Gives [partition, offset] of each record. */
    static List<Object> records(Driver driver, Request r) throws Exception {
        List<Object> offsets = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(driver, r)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (Object record : r.list("records")) {
                @SuppressWarnings("unchecked")
                Map<String, Object> fields = (Map<String, Object>) record;
                sent.add(producer.send(Records.toProduce(r.text("topic"), fields)));
            }
            producer.flush();
            for (Future<RecordMetadata> told : sent) {
                RecordMetadata at = told.get(60, TimeUnit.SECONDS);
                offsets.add(Arrays.asList(at.partition(), at.offset()));
            }
        }
        return offsets;
    }

    /** Gives the count of lines. */
    static long file(Driver driver, Request r) throws Exception {
        AtomicReference<Exception> failure = new AtomicReference<>();
        Long partition = (Long) r.get("partition");
        long count = 0;
        try (KafkaProducer<byte[], byte[]> producer = producer(driver, r);
            InputStream in = new BufferedInputStream(Files.newInputStream(Paths.get(r.text("path"))), 1 << 16)) {
            for (byte[] line = line(in); line != null; line = line(in)) {
                Integer to = partition == null ? null : partition.intValue();
                producer.send(new ProducerRecord<>(r.text("topic"), to, null, line), (at, e) -> {
                    if (e != null) {
                        failure.compareAndSet(null, e);
                    }
                });
                count++;
            }
            producer.flush();
        }
        if (failure.get() != null) {
            throw failure.get();
        }
        return count;
    }

    /** The next line without its end, or null. */
    private static byte[] line(InputStream in) throws IOException {
        int c = in.read();
        if (c < 0) {
            return null;
        }
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (; c >= 0 && c != '\n'; c = in.read()) {
            line.write(c);
        }
        return line.toByteArray();
    }
}
