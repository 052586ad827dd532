package config

import "strings"

// notProperties are the variables of Kafka's start scripts and of Apache's image that are not broker properties.
var notProperties = map[string]bool{
	"KAFKA_VERSION": true, "KAFKA_HOME": true, "KAFKA_HEAP_OPTS": true, "KAFKA_OPTS": true, "KAFKA_JMX_OPTS": true,
	"KAFKA_JMX_PORT": true, "KAFKA_JMX_HOSTNAME": true, "KAFKA_GC_LOG_OPTS": true, "KAFKA_DEBUG": true,
	"KAFKA_JVM_PERFORMANCE_OPTS": true, "KAFKA_LOG4J_OPTS": true, "KAFKA_LOG4J_ROOT_LOGLEVEL": true,
	"KAFKA_LOG4J_LOGGERS": true, "KAFKA_TOOLS_LOG4J_LOGLEVEL": true, "KAFKA_LOG4J_CMD_OPTS": true,
	"KAFKA_CLIENT_LOG4J_OPTS": true, "KAFKA_MODE": true,
}

// fromEnvironment reads variables as Apache's image does: KAFKA_NODE_ID is node.id; "__" stands for "_", "___" for "-".
func fromEnvironment(environ []string) []setting {
	var settings []setting
	for _, kv := range environ {
		name, text, ok := strings.Cut(kv, "=")
		if !ok || !strings.HasPrefix(name, "KAFKA_") || notProperties[name] {
			continue
		}
		if strings.HasPrefix(name, "KAFKA_JVM") || strings.HasPrefix(name, "KAFKA_LOG4J") {
			continue
		}
		if key := variableKey(strings.TrimPrefix(name, "KAFKA_")); key != "" {
			settings = append(settings, setting{key, text, OriginEnvironment, name})
		}
	}
	return settings
}

// variableKey turns the rest of a variable's name into a property's.
func variableKey(name string) string {
	var key strings.Builder
	for i := 0; i < len(name); {
		run := len(name[i:]) - len(strings.TrimLeft(name[i:], "_"))
		if run == 0 {
			key.WriteString(strings.ToLower(name[i : i+1]))
			i++
			continue
		}
		i += run
		for ; run >= 3; run -= 3 {
			key.WriteByte('-')
		}
		key.WriteString([]string{"", ".", "_"}[run])
	}
	return key.String()
}
