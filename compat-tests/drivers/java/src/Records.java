import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** Records as they stand in requests and answers. */
final class Records {
    private Records() {
    }

    static byte[] decode(Object text) {
        return text == null ? null : Base64.getDecoder().decode((String) text);
    }

    private static String encode(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }

    static ProducerRecord<byte[], byte[]> toProduce(String topic, Map<String, Object> r) {
        List<Header> headers = new ArrayList<>();
        if (r.get("headers") != null) {
            for (Object header : (List<?>) r.get("headers")) {
                headers.add(new RecordHeader((String) ((List<?>) header).get(0), decode(((List<?>) header).get(1))));
            }
        }
        Long partition = (Long) r.get("partition");
        return new ProducerRecord<>(topic, partition == null ? null : partition.intValue(), (Long) r.get("timestamp"),
            decode(r.get("key")), decode(r.get("value")), headers);
    }

    static Map<String, Object> json(ConsumerRecord<byte[], byte[]> r) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("topic", r.topic());
        out.put("partition", r.partition());
        out.put("offset", r.offset());
        out.put("timestamp", r.timestamp());
        out.put("key", encode(r.key()));
        out.put("value", encode(r.value()));
        List<Object> headers = new ArrayList<>();
        for (Header h : r.headers()) {
            headers.add(Arrays.asList(h.key(), encode(h.value())));
        }
        out.put("headers", headers);
        return out;
    }
}
