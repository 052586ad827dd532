import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AdminClient;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What is called otherwise in kafka-clients 1, for 2.4 and newer. */
final class Calls {
    private Calls() {
    }

    static ConsumerRecords<byte[], byte[]> poll(Consumer<byte[], byte[]> consumer, long ms) {
        return consumer.poll(Duration.ofMillis(ms));
    }

    static void needCodec(String codec) {
    }

    static void needStaticMembers() {
    }

    static String cooperativeSticky() {
        return "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    }

    static List<Object> committed(Driver driver, AdminClient admin, String group, List<TopicPartition> partitions)
        throws Exception {
        Map<TopicPartition, OffsetAndMetadata> told =
            Driver.wait(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
        List<Object> offsets = new ArrayList<>();
        for (TopicPartition p : partitions) {
            offsets.add(told.get(p) == null ? null : told.get(p).offset());
        }
        return offsets;
    }

    static void alterConfig(AdminClient admin, ConfigResource resource, Map<String, String> set, List<?> delete)
        throws Exception {
        Collection<AlterConfigOp> changes = new ArrayList<>();
        set.forEach((name, value) -> changes.add(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
        for (Object name : delete) {
            changes.add(new AlterConfigOp(new ConfigEntry((String) name, ""), AlterConfigOp.OpType.DELETE));
        }
        Driver.wait(admin.incrementalAlterConfigs(Collections.singletonMap(resource, changes)).all());
    }

    @SuppressWarnings({"deprecation", "removal"})
    static List<Object> listGroups(AdminClient admin) throws Exception {
        List<Object> groups = new ArrayList<>();
        for (ConsumerGroupListing g : Driver.wait(admin.listConsumerGroups().all())) {
            groups.add(g.groupId());
        }
        return groups;
    }

    @SuppressWarnings({"deprecation", "removal"})
    static Map<String, Object> describeGroup(AdminClient admin, String group) throws Exception {
        ConsumerGroupDescription told =
            Driver.wait(admin.describeConsumerGroups(Collections.singleton(group)).all()).get(group);
        List<Object> members = new ArrayList<>();
        for (MemberDescription m : told.members()) {
            members.add(m.clientId());
        }
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("state", told.state().toString());
        answer.put("members", members);
        return answer;
    }
}
