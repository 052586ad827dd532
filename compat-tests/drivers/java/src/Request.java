import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The fields of a request. */
final class Request {
    private final Map<String, Object> fields;

    Request(Map<String, Object> fields) {
        this.fields = fields;
    }

    Object get(String name) {
        return fields.get(name);
    }

    String text(String name) {
        return (String) fields.get(name);
    }

    long number(String name) {
        return (Long) fields.get(name);
    }

    List<?> list(String name) {
        Object list = fields.get(name);
        return list == null ? Collections.emptyList() : (List<?>) list;
    }

    @SuppressWarnings("unchecked")
    Map<String, Object> fields(String name) {
        Object found = fields.get(name);
        return found == null ? Collections.emptyMap() : (Map<String, Object>) found;
    }

    Map<String, String> texts(String name) {
        Map<String, String> texts = new TreeMap<>();
        fields(name).forEach((k, v) -> texts.put(k, (String) v));
        return texts;
    }
}
