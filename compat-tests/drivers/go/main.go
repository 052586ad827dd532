// Command go drives the Go client libraries, and kcat, by the protocol of ../README.md: one JSON request per line on
// standard input, one answer per line on standard output. Which library, --client says. Read protocol.go first; each
// library has one file.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// notInstalled is the exit code that says that something is missing on this machine.
const notInstalled = 77

func main() {
	bootstrap := flag.String("bootstrap", "", "HOST:PORT of each broker, with commas between")
	client := flag.String("client", "", "franz-go, sarama, sarama-1.45, kafka-go or kcat")
	flag.Parse()
	lib, version, err := open(*client, *bootstrap)
	if errors.Is(err, errNotInstalled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(notInstalled)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := json.NewEncoder(os.Stdout)
	out.Encode(map[string]any{"ready": true, "client": *client, "version": version, "runtime": runtime.Version()})
	if err := serve(lib, out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// open makes the named library's driver; it does not connect.
func open(client, bootstrap string) (lib library, version string, err error) {
	seeds := strings.Split(bootstrap, ",")
	switch client {
	case "franz-go":
		return newFranz(seeds), moduleVersion("github.com/twmb/franz-go"), nil
	case "sarama", "sarama-1.45":
		return newSarama(seeds, client), moduleVersion("github.com/IBM/sarama"), nil
	case "kafka-go":
		return newKafkaGo(seeds), moduleVersion("github.com/segmentio/kafka-go"), nil
	case "kcat":
		return newKcat(bootstrap)
	}
	return nil, "", fmt.Errorf("no client %q", client)
}

// moduleVersion is the version of a module that this program was built with, without its v.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, dep := range info.Deps {
		if dep.Path != path {
			continue
		}
		if dep.Replace != nil {
			dep = dep.Replace
		}
		return dep.Version[1:]
	}
	return ""
}

// serve answers requests until the input ends or says quit, then closes the library.
func serve(lib library, out *json.Encoder) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	for lines.Scan() {
		var req request
		if err := json.Unmarshal(lines.Bytes(), &req); err != nil {
			return fmt.Errorf("not a request: %w", err)
		}
		if err := out.Encode(answerTo(lib, &req)); err != nil {
			return err
		}
		if req.Op == "quit" {
			break
		}
	}
	return errors.Join(lines.Err(), lib.close())
}
