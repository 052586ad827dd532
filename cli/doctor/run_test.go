package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/cli"
)

func TestAHealthyClusterHasNoProblem(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(3), kfake.ClusterID("one"))
	r := examine(t, world{}.options(c.ListenAddrs()...))
	if !r.Healthy() || r.Warnings != 0 || r.ClusterID != "one" || r.Controller == nil || len(r.Brokers) != 3 {
		t.Errorf("%s", table(r))
	}
	for _, b := range r.Brokers {
		if b.Answers != "yes" {
			t.Errorf("%+v", b)
		}
	}
	finds(t, r, OK, "a Kafka broker", "Fetch 4-18")
	finds(t, r, OK, "of this cluster answers there")
	for _, f := range []cli.Format{cli.JSON, cli.YAML, cli.Table} {
		var out bytes.Buffer
		if err := cli.Print(&out, f, r); err != nil || !strings.Contains(out.String(), c.ListenAddrs()[2]) {
			t.Errorf("%s: %v\n%s", f, err, out.String())
		}
	}
}

func TestAnAdvertisedLocalhostBehindARemoteBootstrapAddressIsTheClassicMistake(t *testing.T) {
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "0.0.0.0"} {
		c := cluster(t)
		advertise(c, func(m *kmsg.MetadataResponse) { m.Brokers[0].Host = host })
		at := net.JoinHostPort("kafka.example", c.ListenAddrs()[0][len("127.0.0.1:"):])
		w := world{names: map[string][]string{"kafka.example": {remote}, "localhost": {"127.0.0.1"}}}
		r := examine(t, w.options(at))
		f := finds(t, r, Problem, host, "advertised.listeners=PLAINTEXT://"+at)
		if r.Healthy() || !strings.HasPrefix(f.Subject, "broker 0, advertised as ") || r.Brokers[0].Bootstrap != at {
			t.Errorf("%s: %+v", host, f)
		}
	}
}

func TestAnAdvertisedLocalhostIsFineOnTheSameMachine(t *testing.T) {
	c := cluster(t)
	advertise(c, func(m *kmsg.MetadataResponse) { m.Brokers[0].Host = "localhost" })
	r := examine(t, world{names: map[string][]string{"localhost": {"127.0.0.1"}}}.options(c.ListenAddrs()...))
	if !r.Healthy() {
		t.Errorf("%s", table(r))
	}
}

func TestAContainersNameDoesNotResolveOutside(t *testing.T) {
	c := cluster(t)
	advertise(c, func(m *kmsg.MetadataResponse) { m.Brokers[0].Host = "kafka-1" })
	r := examine(t, world{}.options(c.ListenAddrs()...))
	finds(t, r, Problem, `advertises the name "kafka-1"`, "container", "advertised.listeners=PLAINTEXT://"+c.ListenAddrs()[0])
	if r.Brokers[0].Answers != "name not found" {
		t.Errorf("%+v", r.Brokers[0])
	}
}

func TestADeadAdvertisedAddressIsNamedBesideTheBootstrapAddress(t *testing.T) {
	c := cluster(t)
	gone := dead(t)
	advertise(c, func(m *kmsg.MetadataResponse) { m.Brokers[0].Port = portOf(gone) })
	r := examine(t, world{}.options(c.ListenAddrs()...))
	finds(t, r, Problem, "reached at "+c.ListenAddrs()[0]+" but advertises "+gone, "refused", "the port is not")
	if b := r.Brokers[0]; b.Bootstrap != c.ListenAddrs()[0] || b.Advertised != gone || b.Answers != "refused" {
		t.Errorf("%+v", b)
	}
}

func TestAnAdvertisedAddressOfAnotherClusterIsFound(t *testing.T) {
	other := cluster(t, kfake.ClusterID("another"))
	c := cluster(t)
	advertise(c, func(m *kmsg.MetadataResponse) { m.Brokers[0].Port = portOf(other.ListenAddrs()[0]) })
	r := examine(t, world{}.options(c.ListenAddrs()...))
	finds(t, r, Problem, "leads to another cluster", "another, not the-cluster")
	r = examine(t, world{}.options(c.ListenAddrs()[0], other.ListenAddrs()[0]))
	finds(t, r, Problem, "different clusters")
}

func TestAnAdvertisedAddressOfAnotherBrokerIsFound(t *testing.T) {
	for name, limit := range map[string]int16{"by its version of ApiVersions": 5, "by its configuration": 4} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, kfake.NumBrokers(2), kfake.ClusterID("the-cluster"))
			if limit < 5 {
				oldVersions(c, limit)
			}
			advertise(c, func(m *kmsg.MetadataResponse) {
				m.Brokers[0].Port, m.Brokers[1].Port = m.Brokers[1].Port, m.Brokers[0].Port
			})
			r := examine(t, world{}.options(c.ListenAddrs()[0]))
			finds(t, r, Problem, "who answers there is not broker 1", "advertised.listeners=PLAINTEXT://HOST:PORT")
			if r.Brokers[0].Answers != "another broker" || r.Brokers[1].Answers != "another broker" {
				t.Errorf("%s", table(r))
			}
		})
	}
}

// oldVersions lets c know ApiVersions only up to a version, and nothing of Kafka's but what the doctor uses.
func oldVersions(c *kfake.Cluster, most int16) {
	c.ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		keys := []int16{keyMetadata, keyVersions, keyDescribeConfigs}
		if req.GetVersion() > most {
			resp.Version, resp.ErrorCode, keys = 0, codeUnsupportedVersion, keys[1:2]
		}
		for _, k := range keys {
			newest := kmsg.RequestForKey(k).MaxVersion()
			if k == keyVersions {
				newest = most
			}
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: newest})
		}
		return resp, nil, true
	})
}

func TestVersionsAreAgreedOnAndMissingAPIsNamed(t *testing.T) {
	c := cluster(t)
	oldVersions(c, 2)
	r := examine(t, world{}.options(c.ListenAddrs()...))
	finds(t, r, OK, "ApiVersions agreed on version 2")
	finds(t, r, Problem, "Produce (0)", "nothing can be written")
	finds(t, r, Warning, "FindCoordinator (10)", "consumer groups don't work")
}

func TestTwoBrokersOfOneAddressAreAProblem(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(2))
	advertise(c, func(m *kmsg.MetadataResponse) { m.Brokers[1].Port = m.Brokers[0].Port })
	finds(t, examine(t, world{}.options(c.ListenAddrs()[0])), Problem, "brokers 0 and 1 advertise the same address")
}

func TestOnlySoManyBrokersAreLookedAt(t *testing.T) {
	c := cluster(t)
	advertise(c, func(m *kmsg.MetadataResponse) {
		for i := range mostBrokers + 4 {
			m.Brokers = append(m.Brokers, kmsg.MetadataResponseBroker{NodeID: int32(i + 1), Host: "nowhere", Port: 1})
		}
	})
	r := examine(t, world{}.options(c.ListenAddrs()[0]))
	finds(t, r, Warning, "5 brokers more are not looked at")
	if len(r.Brokers) != mostBrokers {
		t.Errorf("%d brokers", len(r.Brokers))
	}
}

func TestPartitionsWithoutLeaderAreNamed(t *testing.T) {
	c := cluster(t)
	advertise(c, func(m *kmsg.MetadataResponse) {
		name := "orders"
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = &name
		for i := range 9 {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader = int32(i), int32([]int{-1, 0, 7}[i%3])
			topic.Partitions = append(topic.Partitions, p)
		}
		m.Topics, m.ControllerID = append(m.Topics, topic), -1
	})
	r := examine(t, world{}.options(c.ListenAddrs()[0]))
	finds(t, r, Problem, "3 of 9 partitions without a leader: orders-0, orders-3, orders-6")
	finds(t, r, Problem, "3 partitions led by a broker that is not in the list")
	finds(t, r, Warning, "no controller is known")
}

func TestRecordsOfTheFutureShowClockSkew(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(1, "b"))
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	rec := &kgo.Record{Topic: "b", Value: []byte("x"), Timestamp: time.Now().Add(time.Hour)}
	if err := client.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := examine(t, world{}.options(c.ListenAddrs()...))
	finds(t, r, Warning, "in the future", "NTP")
	if !r.Healthy() {
		t.Errorf("%s", table(r))
	}
}

func TestHTTPIsRecognised(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	o := world{}.options(s.Listener.Addr().String())
	o.Timeout = 500 * time.Millisecond
	finds(t, examine(t, o), Problem, "is an HTTP server's")
}

func TestTLSIsRecognisedAndLookedBehind(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler()) // for its certificate, and as a server that is no broker
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	o := world{}.options(s.Listener.Addr().String())
	o.Timeout = 500 * time.Millisecond
	r := examine(t, o)
	finds(t, r, Problem, "speaks TLS", "security.protocol=SSL")
	finds(t, r, Problem, "an HTTP server's")
	c := cluster(t, kfake.TLS(&tls.Config{Certificates: s.TLS.Certificates}))
	r = examine(t, world{names: map[string][]string{"other.test": {"127.0.0.1"}}}.options(c.ListenAddrs()[0], "other.test:"+c.ListenAddrs()[0][len("127.0.0.1:"):]))
	finds(t, r, Problem, "speaks TLS")
	finds(t, r, Warning, "does not trust its certificate")
	finds(t, r, Problem, "its certificate is for example.com")
	finds(t, r, OK, "broker 0 of this cluster answers there")
	w := world{now: time.Now().AddDate(200, 0, 0)}
	finds(t, examine(t, w.options(c.ListenAddrs()[0])), Problem, "its certificate expired")
}

func TestTLSThatWantsACertificateIsRecognised(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := &tls.Config{Certificates: s.TLS.Certificates, ClientAuth: tls.RequireAnyClientCert, MaxVersion: version}
		c := cluster(t, kfake.TLS(cfg))
		r := examine(t, world{}.options(c.ListenAddrs()[0]))
		finds(t, r, Problem, "speaks TLS")
		finds(t, r, Problem, "certificate of the client", "keystore")
	}
}

func TestALoginIsAskedFor(t *testing.T) {
	at := listen(t, loginFirst)
	r := examine(t, world{}.options(at))
	finds(t, r, Problem, "wants a login (SASL)", "PLAIN, SCRAM-SHA-512", "security.protocol=SASL_PLAINTEXT")
	c := cluster(t, kfake.EnableSASL())
	finds(t, examine(t, world{}.options(c.ListenAddrs()[0])), Problem, "wants a login (SASL)")
}

// loginFirst answers as Kafka does on a SASL listener: versions and handshakes, and hangs up on everything else.
func loginFirst(c net.Conn) {
	for {
		key, version, correlation, err := readRequest(c)
		if err != nil {
			return
		}
		switch key {
		case keyVersions:
			resp := kmsg.NewPtrApiVersionsResponse()
			resp.Version = version
			for _, k := range []int16{keyMetadata, 17, keyVersions} {
				resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: kmsg.RequestForKey(k).MaxVersion()})
			}
			writeResponse(c, correlation, resp)
		case 17:
			resp := kmsg.NewPtrSASLHandshakeResponse()
			resp.ErrorCode, resp.SupportedMechanisms = 33, []string{"PLAIN", "SCRAM-SHA-512"}
			writeResponse(c, correlation, resp)
		default:
			return
		}
	}
}

func readRequest(c net.Conn) (key, version int16, correlation int32, err error) {
	var head [12]byte
	if _, err = io.ReadFull(c, head[:]); err != nil {
		return 0, 0, 0, err
	}
	size := int64(binary.BigEndian.Uint32(head[:4]))
	_, err = io.CopyN(io.Discard, c, size-8)
	return int16(binary.BigEndian.Uint16(head[4:])), int16(binary.BigEndian.Uint16(head[6:])), int32(binary.BigEndian.Uint32(head[8:])), err
}

func writeResponse(c net.Conn, correlation int32, resp kmsg.Response) {
	body := resp.AppendTo(nil)
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	frame = binary.BigEndian.AppendUint32(frame, uint32(correlation))
	_, _ = c.Write(append(frame, body...))
}

func TestABrokerThatHangsUpOnNewVersionsIsAskedInTheOldest(t *testing.T) {
	at := listen(t, func(c net.Conn) {
		_, version, correlation, err := readRequest(c)
		if err != nil || version > 0 {
			return
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: keyVersions}, {ApiKey: 52}}
		writeResponse(c, correlation, resp)
	})
	finds(t, examine(t, world{}.options(at)), Problem, "KRaft controller")
}

func TestWhatIsNoBrokerIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(net.Conn)
		words []string
	}{
		"closes at once":    {func(net.Conn) {}, []string{"closed without an answer", "container"}},
		"closes after all":  {func(c net.Conn) { _, _, _, _ = readRequest(c) }, []string{"closed without an answer"}},
		"never answers":     {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, []string{"no request is answered"}},
		"greets":            {func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH\r\n"); _, _ = io.Copy(io.Discard, c) }, []string{"not Kafka", `"SSH-2.0-OpenSSH`}},
		"answers others":    {func(c net.Conn) { _, _ = c.Write([]byte{0, 0, 0, 6, 9, 9, 9, 9, 0, 0}); _, _ = io.Copy(io.Discard, c) }, []string{"not Kafka"}},
		"claims and stops":  {func(c net.Conn) { _, _ = c.Write([]byte{3, 0, 0, 0, 0, 0, 0, 1}) }, []string{"closed without an answer"}},
		"sends half a body": {halfBody, []string{"not Kafka"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := world{}.options(listen(t, c.serve))
			o.Timeout = 300 * time.Millisecond
			finds(t, examine(t, o), Problem, c.words...)
		})
	}
}

func halfBody(c net.Conn) {
	_, _, correlation, _ := readRequest(c)
	_, _ = c.Write(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 7}, uint32(correlation)))
	_, _ = c.Write([]byte{0, 0, 0})
	_, _ = io.Copy(io.Discard, c)
}

func TestFailuresToConnectAreToldApart(t *testing.T) {
	gone := dead(t)
	for name, c := range map[string]struct {
		at    string
		err   error
		words []string
	}{
		"refused":     {gone, nil, []string{"refused", "nothing listens", "docker run -p"}},
		"timeout":     {"192.0.2.9:9092", os.ErrDeadlineExceeded, []string{"no answer from 192.0.2.9:9092", "firewall"}},
		"unreachable": {"192.0.2.9:9092", syscall.EHOSTUNREACH, []string{"unreachable", "routes"}},
		"else":        {"192.0.2.9:9092", errors.New("odd"), []string{"failed", "odd"}},
		"no name":     {"broker.invalid:9092", nil, []string{"does not resolve", "spelling"}},
		"pod":         {"kafka-0.kafka.svc.cluster.local", nil, []string{"Kubernetes"}},
		"no port":     {"192.0.2.9:x", nil, []string{"no port"}},
	} {
		r := examine(t, world{fails: map[string]error{"192.0.2.9": c.err}}.options(c.at))
		finds(t, r, Problem, c.words...)
		if len(r.Brokers) != 0 || r.Problems != 1 {
			t.Errorf("%s:\n%s", name, table(r))
		}
	}
}

func TestAllAddressesOfANameAreTried(t *testing.T) {
	c := cluster(t)
	w := world{
		names: map[string][]string{"two.test": {"2001:db8::1", "192.0.2.9", "127.0.0.1"}},
		fails: map[string]error{"2001:db8::1": syscall.ENETUNREACH, "192.0.2.9": syscall.ECONNREFUSED},
	}
	r := examine(t, w.options("two.test:"+c.ListenAddrs()[0][len("127.0.0.1:"):]))
	finds(t, r, OK, "2001:db8::1 (IPv6), 192.0.2.9 (IPv4)")
	finds(t, r, OK, "has no IPv6")
	finds(t, r, Warning, "192.0.2.9", "refused", "another address of the same name answers")
}

func TestAnInterruptEndsTheExamination(t *testing.T) {
	at := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	o := world{}.options(at)
	o.Timeout = time.Minute
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if _, err := Run(ctx, o); err == nil {
		t.Error("no error")
	}
	if _, err := Run(t.Context(), Options{}); err == nil {
		t.Error("no address is no usage error")
	}
}

func TestWhatBrokersSendDoesNotSteerTheTerminal(t *testing.T) {
	c := cluster(t)
	advertise(c, func(m *kmsg.MetadataResponse) { m.Brokers[0].Host = "\x1b[2J\nok" })
	if out := table(examine(t, world{}.options(c.ListenAddrs()[0]))); strings.ContainsAny(out, "\x1b") {
		t.Errorf("%q", out)
	}
}

func TestAPortThatIsForwardedMustBeAdvertisedAsSuch(t *testing.T) {
	c := cluster(t)
	outside := proxy(t, c.ListenAddrs()[0])
	advertise(c, func(m *kmsg.MetadataResponse) { m.Brokers[0].Port = portOf(dead(t)) })
	finds(t, examine(t, world{}.options(outside)), Problem, "publishes", "advertised.listeners=PLAINTEXT://"+outside)
}
