import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What is called otherwise in kafka-clients 2 and newer, for 1.1. */
final class Calls {
    private Calls() {
    }

    static ConsumerRecords<byte[], byte[]> poll(Consumer<byte[], byte[]> consumer, long ms) {
        return consumer.poll(ms);
    }

    static void needCodec(String codec) {
        if (codec.equals("zstd")) {
            throw new Unsupported("zstd came with kafka-clients 2.1");
        }
    }

    static void needStaticMembers() {
        throw new Unsupported("static members came with kafka-clients 2.3");
    }

    static String cooperativeSticky() {
        throw new Unsupported("the cooperative assignor came with kafka-clients 2.4");
    }

    /** The admin client can't tell yet, but a consumer that is no member can. */
    static List<Object> committed(Driver driver, AdminClient admin, String group, List<TopicPartition> partitions) {
        List<Object> offsets = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer = driver.consumer(Collections.singletonMap("group.id", group))) {
            for (TopicPartition p : partitions) {
                OffsetAndMetadata told = consumer.committed(p);
                offsets.add(told == null ? null : told.offset());
            }
        }
        return offsets;
    }

    /** There is only the call that replaces everything that is set. */
    static void alterConfig(AdminClient admin, ConfigResource resource, Map<String, String> set, List<?> delete)
        throws Exception {
        Collection<ConfigEntry> entries = new ArrayList<>();
        for (ConfigEntry e : Driver.wait(admin.describeConfigs(Collections.singleton(resource)).all()).get(resource).entries()) {
            boolean own = e.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG;
            if (own && !set.containsKey(e.name()) && !delete.contains(e.name())) {
                entries.add(new ConfigEntry(e.name(), e.value()));
            }
        }
        set.forEach((name, value) -> entries.add(new ConfigEntry(name, value)));
        Driver.wait(admin.alterConfigs(Collections.singletonMap(resource, new Config(entries))).all());
    }

    static List<Object> listGroups(AdminClient admin) {
        throw new Unsupported("listing groups came with kafka-clients 2.0");
    }

    static Map<String, Object> describeGroup(AdminClient admin, String group) {
        throw new Unsupported("describing groups came with kafka-clients 2.0");
    }
}
