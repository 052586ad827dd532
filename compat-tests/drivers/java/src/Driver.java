import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DeletedRecords;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.utils.AppInfoParser;

/**
 * Drives kafka-clients for the tests: requests as JSON lines on stdin, answers as JSON lines on stdout. ../README.md holds
 * the protocol. Calls has what is not the same in all versions of the library.
 */
public final class Driver {
    private final String bootstrap;
    private final String name;
    private final Map<Long, Reader> readers = new HashMap<>();
    private long lastReader;
    private Member member;
    private Load load;
    private AdminClient admin;

    private Driver(String bootstrap, String name) {
        this.bootstrap = bootstrap;
        this.name = name;
    }

    public static void main(String[] args) throws Exception {
        List<String> flags = Arrays.asList(args);
        PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, "UTF-8");
        System.setOut(System.err); // what a library prints must not get between the answers
        String name = flags.get(flags.indexOf("--client") + 1);
        Driver driver = new Driver(flags.get(flags.indexOf("--bootstrap") + 1), name);
        Map<String, Object> ready = new LinkedHashMap<>();
        ready.put("ready", true);
        ready.put("client", name);
        ready.put("version", AppInfoParser.getVersion());
        ready.put("runtime", "Java " + System.getProperty("java.version"));
        say(out, ready);
        driver.serve(new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)), out);
        System.exit(0);
    }

    private static void say(PrintStream out, Map<String, Object> message) {
        out.println(Json.write(message));
        out.flush();
    }

    private void serve(BufferedReader in, PrintStream out) throws Exception {
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            @SuppressWarnings("unchecked")
            Map<String, Object> request = (Map<String, Object>) Json.parse(line);
            boolean quit = "quit".equals(request.get("op"));
            Map<String, Object> answer = new LinkedHashMap<>();
            answer.put("id", request.get("id"));
            answer.put("ok", true);
            if (!quit) {
                answer(new Request(request), answer);
            }
            say(out, answer);
            if (quit) {
                break;
            }
        }
        close();
    }

    private void answer(Request request, Map<String, Object> answer) {
        try {
            answer.putAll(run(request));
        } catch (Unsupported e) {
            answer.put("ok", false);
            answer.put("error", e.getMessage());
            answer.put("unsupported", true);
        } catch (Exception e) {
            Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
            cause.printStackTrace();
            answer.put("ok", false);
            answer.put("error", cause.toString());
        }
    }

    private void close() throws Exception {
        for (Reader reader : readers.values()) {
            reader.close();
        }
        if (member != null) {
            member.leave();
        }
        if (admin != null) {
            admin.close();
        }
    }

    private Map<String, Object> run(Request r) throws Exception {
        switch (r.text("op")) {
            case "create_topic":
                return createTopic(r);
            case "delete_topic":
                wait(admin().deleteTopics(Collections.singleton(r.text("topic"))).all());
                return none();
            case "produce":
                return one("offsets", Producing.records(this, r));
            case "produce_file":
                return one("count", Producing.file(this, r));
            case "open_reader":
                return openReader(r);
            case "read":
                return read(r);
            case "close_reader":
                readers.remove(r.number("reader")).close();
                return none();
            case "consume_file":
                return one("count", Consuming.file(this, r));
            case "load":
                load = new Load(this, r);
                return none();
            case "load_stop":
                return one("sent", load.stop());
            case "join":
                return join(r);
            case "member":
                return joined().state();
            case "member_commit":
                return one("offsets", joined().commit());
            case "leave":
                return leave();
            default:
                return administer(r);
        }
    }

    private Map<String, Object> administer(Request r) throws Exception {
        switch (r.text("op")) {
            case "committed":
                return committed(r);
            case "offset_for_time":
                return offsetForTime(r);
            case "describe_config":
                return describeConfig(r);
            case "alter_config":
                Calls.alterConfig(admin(), topicResource(r), r.texts("set"), r.list("delete"));
                return none();
            case "delete_records":
                return deleteRecords(r);
            case "move_replicas":
                return moveReplicas(r);
            case "list_groups":
                return one("groups", Calls.listGroups(admin()));
            case "describe_group":
                return Calls.describeGroup(admin(), r.text("group"));
            default:
                throw new Unsupported("no such op");
        }
    }

    static Map<String, Object> none() {
        return Collections.emptyMap();
    }

    static Map<String, Object> one(String name, Object value) {
        return Collections.singletonMap(name, value);
    }

    static <T> T wait(KafkaFuture<T> future) throws Exception {
        return future.get(60, TimeUnit.SECONDS);
    }

    Properties properties() {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("client.id", name);
        return p;
    }

    private AdminClient admin() {
        if (admin == null) {
            admin = AdminClient.create(properties());
        }
        return admin;
    }

    KafkaConsumer<byte[], byte[]> consumer(Map<String, String> more) {
        Properties p = properties();
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("fetch.max.wait.ms", "100");
        p.putAll(more);
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private Map<String, Object> createTopic(Request r) throws Exception {
        NewTopic topic = new NewTopic(r.text("topic"), (int) r.number("partitions"), (short) r.number("replicas"))
            .configs(r.texts("configs"));
        wait(admin().createTopics(Collections.singleton(topic)).all());
        return none();
    }

    private Map<String, Object> openReader(Request r) {
        TopicPartition p = new TopicPartition(r.text("topic"), (int) r.number("partition"));
        Reader reader = new Reader(consumer(Collections.emptyMap()), Collections.singletonList(p), r.get("from"));
        readers.put(++lastReader, reader);
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("reader", lastReader);
        answer.put("position", reader.position(p));
        return answer;
    }

    private Map<String, Object> read(Request r) {
        List<Object> records = new ArrayList<>();
        for (ConsumerRecord<byte[], byte[]> record
            : readers.get(r.number("reader")).read((int) r.number("max"), r.number("timeout_ms"))) {
            records.add(Records.json(record));
        }
        return one("records", records);
    }

    private Map<String, Object> join(Request r) {
        if (member != null) {
            throw new IllegalStateException("one membership per driver");
        }
        Map<String, String> more = new HashMap<>();
        more.put("group.id", r.text("group"));
        if (r.get("client_id") != null) {
            more.put("client.id", r.text("client_id"));
        }
        if (r.get("instance_id") != null) {
            Calls.needStaticMembers();
            more.put("group.instance.id", r.text("instance_id"));
        }
        if (r.get("session_timeout_ms") != null) {
            more.put("session.timeout.ms", "" + r.number("session_timeout_ms"));
            more.put("heartbeat.interval.ms", "" + Math.min(r.number("session_timeout_ms") / 3, 3000));
        }
        if (r.get("assignor") != null) {
            more.put("partition.assignment.strategy", assignor(r.text("assignor")));
        }
        List<String> topics = new ArrayList<>();
        for (Object topic : r.list("topics")) {
            topics.add((String) topic);
        }
        member = new Member(consumer(more), topics);
        return none();
    }

    private static String assignor(String name) {
        String in = "org.apache.kafka.clients.consumer.";
        switch (name) {
            case "range":
                return in + "RangeAssignor";
            case "roundrobin":
                return in + "RoundRobinAssignor";
            case "sticky":
                return in + "StickyAssignor";
            case "cooperative-sticky":
                return Calls.cooperativeSticky();
            default:
                throw new Unsupported("no assignor " + name);
        }
    }

    private Member joined() {
        if (member == null) {
            throw new IllegalStateException("not joined");
        }
        return member;
    }

    private Map<String, Object> leave() throws Exception {
        Member leaving = joined();
        member = null;
        leaving.leave();
        return none();
    }

    private Map<String, Object> committed(Request r) throws Exception {
        List<TopicPartition> partitions = new ArrayList<>();
        for (Object p : r.list("partitions")) {
            partitions.add(new TopicPartition(r.text("topic"), ((Long) p).intValue()));
        }
        return one("offsets", Calls.committed(this, admin(), r.text("group"), partitions));
    }

    private Map<String, Object> offsetForTime(Request r) {
        TopicPartition p = new TopicPartition(r.text("topic"), (int) r.number("partition"));
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(Collections.emptyMap())) {
            OffsetAndTimestamp found = consumer.offsetsForTimes(Collections.singletonMap(p, r.number("time"))).get(p);
            return one("offset", found == null ? null : found.offset());
        }
    }

    private static ConfigResource topicResource(Request r) {
        return new ConfigResource(ConfigResource.Type.TOPIC, r.text("topic"));
    }

    private Map<String, Object> describeConfig(Request r) throws Exception {
        ConfigResource resource = topicResource(r);
        Map<String, Object> configs = new TreeMap<>();
        for (ConfigEntry e : wait(admin().describeConfigs(Collections.singleton(resource)).all()).get(resource).entries()) {
            configs.put(e.name(), e.value());
        }
        return one("configs", configs);
    }

    private Map<String, Object> deleteRecords(Request r) throws Exception {
        Map<TopicPartition, RecordsToDelete> wanted = new HashMap<>();
        for (Map.Entry<String, Object> e : r.fields("offsets").entrySet()) {
            TopicPartition p = new TopicPartition(r.text("topic"), Integer.parseInt(e.getKey()));
            wanted.put(p, RecordsToDelete.beforeOffset((Long) e.getValue()));
        }
        Map<String, Object> low = new TreeMap<>();
        for (Map.Entry<TopicPartition, KafkaFuture<DeletedRecords>> e
            : admin().deleteRecords(wanted).lowWatermarks().entrySet()) {
            low.put("" + e.getKey().partition(), wait(e.getValue()).lowWatermark());
        }
        return one("low", low);
    }

    private Map<String, Object> moveReplicas(Request r) throws Exception {
        Map<TopicPartitionReplica, String> wanted = new HashMap<>();
        for (int p = 0; p < r.number("partitions"); p++) {
            wanted.put(new TopicPartitionReplica(r.text("topic"), p, (int) r.number("broker")), r.text("to"));
        }
        wait(admin().alterReplicaLogDirs(wanted).all());
        return none();
    }
}
