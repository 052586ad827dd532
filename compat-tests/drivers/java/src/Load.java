import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.time.Instant;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sends numbered records at a rate until it is told to stop, and writes down each acknowledgement. */
final class Load {
    private static final int SIZE = 100;

    private final KafkaProducer<byte[], byte[]> producer;
    private final BufferedWriter out;
    private final Thread thread;
    private final String name;
    private final String topic;
    private final int partitions;
    private final long rate;
    private volatile boolean ending;
    private long sent;

    Load(Driver driver, Request r) throws IOException {
        name = r.text("name");
        topic = r.text("topic");
        partitions = (int) r.number("partitions");
        rate = r.number("rate");
        out = Files.newBufferedWriter(Paths.get(r.text("path")), StandardCharsets.UTF_8);
        Properties p = driver.properties();
        p.put("client.id", name);
        p.put("acks", "all");
        p.put("enable.idempotence", "true");
        if (r.get("request_timeout_ms") != null) {
            p.put("request.timeout.ms", r.get("request_timeout_ms").toString());
        }
        producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
        thread = new Thread(this::run, "load");
        thread.setDaemon(true);
        thread.start();
    }

    private void run() {
        long began = System.nanoTime();
        while (!ending) {
            long due = (System.nanoTime() - began) / 1000 * rate / 1_000_000;
            for (; sent < due && !ending; sent++) {
                send(sent);
            }
            LockSupport.parkNanos(1_000_000);
            write("", true);
        }
    }

    private void send(long n) {
        int partition = (int) (n % partitions);
        StringBuilder value = new StringBuilder(name).append(' ').append(n).append(' ');
        while (value.length() < SIZE) {
            value.append('x');
        }
        producer.send(new ProducerRecord<>(topic, partition, null, value.toString().getBytes(StandardCharsets.UTF_8)),
            (at, e) -> told(n, partition, at, e));
    }

    private void told(long n, int partition, RecordMetadata at, Exception e) {
        Instant now = Instant.now();
        long micros = TimeUnit.SECONDS.toMicros(now.getEpochSecond()) + now.getNano() / 1000;
        if (e != null) {
            write(n + " " + partition + " -1 " + micros + " " + e.toString().replace('\n', ' ') + "\n", false);
        } else {
            write(n + " " + partition + " " + at.offset() + " " + micros + "\n", false);
        }
    }

    private synchronized void write(String line, boolean flush) {
        try {
            out.write(line);
            if (flush) {
                out.flush();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Gives how many were sent. */
    long stop() throws Exception {
        ending = true;
        thread.join();
        producer.flush();
        producer.close();
        out.close();
        return sent;
    }
}
