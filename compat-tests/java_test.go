package compat

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Apache Kafka's jars come from Maven Central once and stay in the user's cache; a changed java/pom.xml is a new folder.

var jars = sync.OnceValues(fetchJars)

func fetchJars() (string, error) {
	pom, err := os.ReadFile("java/pom.xml")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = ".cache"
	}
	dir, err := filepath.Abs(filepath.Join(cache, "streambus-compat", fmt.Sprintf("kafka-%08x", checksum(pom))))
	if err != nil {
		return "", err
	}
	done := filepath.Join(dir, "complete")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	mvn := exec.Command("mvn", "-q", "-B", "-f", "java/pom.xml", "dependency:copy-dependencies", "-DoutputDirectory="+dir)
	if out, err := mvn.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetching Apache Kafka's jars: %w\n%s", err, out)
	}
	return dir, os.WriteFile(done, nil, 0o644)
}

// needJava leaves the test out where Java or, with nothing cached, Maven is missing. Call it before anything is measured.
func needJava(t testing.TB) {
	t.Helper()
	needTool(t, "java")
	dir, err := jars()
	if err != nil {
		leaveOut(t, "%v", err)
	}
	if dir == "" {
		t.Fatal("no jars")
	}
}

// javaArgs is the command line of one of Kafka's classes. Flags that make a short-lived JVM start fast.
func javaArgs(t testing.TB, heap, class string, args ...string) []string {
	t.Helper()
	dir, err := jars()
	if err != nil {
		t.Fatal(err)
	}
	logging, err := filepath.Abs("java/log4j2.properties")
	if err != nil {
		t.Fatal(err)
	}
	command := []string{
		"java", "-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-Dlog4j2.configurationFile=" + logging, "-Dorg.apache.kafka.disallowed.login.modules=",
		"-Djava.io.tmpdir=" + t.TempDir(), "-cp", filepath.Join(dir, "*"), class,
	}
	return append(command, args...)
}

// formatKafka writes a configuration for Apache Kafka and formats its directory.
func (b *broker) formatKafka() {
	b.t.Helper()
	needJava(b.t)
	work, voters, replicas := filepath.Dir(b.dir), b.voters, 3
	if voters == "" {
		voters, replicas = fmt.Sprintf("%d@%s", b.id, b.cluster), 1
	}
	properties := fmt.Sprintf(`process.roles=broker,controller
node.id=%[4]d
controller.quorum.voters=%[5]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
log.dirs=%[3]s
offsets.topic.replication.factor=%[6]d
transaction.state.log.replication.factor=%[6]d
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=%[6]d
share.coordinator.state.topic.min.isr=1
`, b.addr, b.cluster, b.dir, b.id, voters, replicas)
	for i := 0; i+1 < len(b.flags); i += 2 {
		if b.flags[i] == "--set" {
			properties += b.flags[i+1] + "\n"
		}
	}
	b.properties = filepath.Join(work, "kafka.properties")
	if err := os.WriteFile(b.properties, []byte(properties), 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.formatStorage(b.properties)
}

// formatStorage is the step before the first start that Apache Kafka needs.
func (b *broker) formatStorage(properties string) {
	b.t.Helper()
	args := javaArgs(b.t, "256m", "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", properties)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		b.t.Fatalf("formatting Apache Kafka's directory: %v\n%s", err, out)
	}
}

func (b *broker) kafkaCommand() []string {
	return javaArgs(b.t, "1g", "kafka.Kafka", b.properties)
}

// runClient runs a command to its end and gives what it wrote to standard output. Anything but exit code 0 fails the test.
func runClient(t testing.TB, stdin string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = dieWithParent()
	if stdin != "" {
		in, err := os.Open(stdin)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		cmd.Stdin = in
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, lastBytes(errs.Bytes(), 4000))
	}
	if errs.Len() > 0 {
		t.Logf("%s says\n%s", args[0], lastBytes(errs.Bytes(), 2000))
	}
	return out.Bytes()
}

func lastBytes(b []byte, n int) []byte {
	return b[max(0, len(b)-n):]
}
