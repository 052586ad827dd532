package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// pom names what makes up a Kafka broker; Maven finds the rest.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>compare</groupId><artifactId>compare</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>` + kafkaVersion + `</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.3</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.25.3</version></dependency>
</dependencies></project>
`

// provide sees to it that the programs to compare are there.
func (s *settings) provide(ctx context.Context) error {
	kafka := slices.ContainsFunc(s.subjects, func(n string) bool { return strings.HasPrefix(n, "kafka") })
	if kafka {
		if err := s.fetchKafka(ctx); err != nil {
			return err
		}
	}
	return errors.Join(
		s.build(ctx, "streambus", "cmd/streambus", &s.streambus),
		s.build(ctx, "ceiling", "bench/ceiling", &s.ceiling))
}

// build makes a program of this checkout, if a subject whose name begins with prefix needs one and none was given.
func (s *settings) build(ctx context.Context, prefix, pkg string, binary *string) error {
	if *binary != "" || !slices.ContainsFunc(s.subjects, func(n string) bool { return strings.HasPrefix(n, prefix) }) {
		return nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	*binary = filepath.Join(dir, "streambus", "compare-"+prefix)
	return s.tool(ctx, "", "go", "build", "-o", *binary, "github.com/streambus/streambus/"+pkg)
}

func (s *settings) fetchKafka(ctx context.Context) error {
	if found, _ := filepath.Glob(filepath.Join(s.jars, "kafka_2.13-*.jar")); len(found) > 0 {
		return nil
	}
	if err := os.MkdirAll(s.jars, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "streambus-pom-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(s.log, "fetching Apache Kafka %s into %s\n", kafkaVersion, s.jars)
	return s.tool(ctx, dir, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+s.jars)
}

func (s *settings) tool(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, s.log, s.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
