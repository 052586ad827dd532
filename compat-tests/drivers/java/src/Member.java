import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** One member of a group, polled by a thread of its own, on which everything that the consumer does happens. */
final class Member implements ConsumerRebalanceListener, Runnable {
    /** The most records that one answer holds. */
    private static final int MOST = 2000;

    private final Consumer<byte[], byte[]> consumer;
    private final LinkedBlockingQueue<FutureTask<?>> jobs = new LinkedBlockingQueue<>();
    private final Thread thread = new Thread(this, "member");
    private volatile boolean left;

    // Of the thread alone, as everything below: requests are jobs.
    private final Set<TopicPartition> assignment = new HashSet<>();
    private final Map<TopicPartition, OffsetAndMetadata> returned = new HashMap<>();
    private List<ConsumerRecord<byte[], byte[]>> pending = new ArrayList<>();
    private int rebalances;
    private String failure;

    Member(Consumer<byte[], byte[]> consumer, List<String> topics) {
        this.consumer = consumer;
        consumer.subscribe(topics, this);
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void run() {
        while (!left) {
            FutureTask<?> job = jobs.poll();
            if (job != null) {
                job.run();
                continue;
            }
            try {
                for (ConsumerRecord<byte[], byte[]> r : Calls.poll(consumer, 50)) {
                    pending.add(r);
                }
            } catch (RuntimeException e) {
                e.printStackTrace();
                failure = e.toString();
                pause();
            }
        }
    }

    /** After a failure that may come again at once. */
    private static void pause() {
        try {
            Thread.sleep(50);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        assignment.addAll(partitions);
        rebalances++;
    }

    /** What came from these partitions is forgotten: whoever holds them next begins at what is committed. */
    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        assignment.removeAll(partitions);
        returned.keySet().removeAll(partitions);
        pending.removeIf(r -> partitions.contains(new TopicPartition(r.topic(), r.partition())));
    }

    private <T> T onThread(Callable<T> work) throws Exception {
        FutureTask<T> job = new FutureTask<>(work);
        jobs.add(job);
        try {
            return job.get(60, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
        }
    }

    Map<String, Object> state() throws Exception {
        return onThread(() -> {
            List<Object> records = new ArrayList<>();
            int n = Math.min(MOST, pending.size());
            for (ConsumerRecord<byte[], byte[]> r : pending.subList(0, n)) {
                returned.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
                records.add(Records.json(r));
            }
            pending = new ArrayList<>(pending.subList(n, pending.size()));
            List<Object> partitions = new ArrayList<>();
            for (TopicPartition p : sorted(assignment)) {
                partitions.add(Arrays.asList(p.topic(), p.partition()));
            }
            Map<String, Object> state = new LinkedHashMap<>();
            state.put("assignment", partitions);
            state.put("records", records);
            state.put("rebalances", rebalances);
            state.put("error", failure);
            failure = null;
            return state;
        });
    }

    /** Commits what was returned and gives [topic, partition, offset] of it. */
    List<Object> commit() throws Exception {
        return onThread(() -> {
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>(returned);
            if (!offsets.isEmpty()) {
                consumer.commitSync(offsets);
            }
            List<Object> told = new ArrayList<>();
            for (TopicPartition p : sorted(offsets.keySet())) {
                told.add(Arrays.asList(p.topic(), p.partition(), offsets.get(p).offset()));
            }
            return told;
        });
    }

    private static List<TopicPartition> sorted(Collection<TopicPartition> partitions) {
        List<TopicPartition> all = new ArrayList<>(partitions);
        all.sort(Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition));
        return all;
    }

    void leave() throws Exception {
        onThread(() -> {
            left = true;
            consumer.close();
            return null;
        });
        thread.join();
    }
}
