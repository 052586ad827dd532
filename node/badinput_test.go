package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/log"
)

// refusedStart starts a node that must not come up, and gives the reason.
func refusedStart(t *testing.T, fs env.FS, settings ...string) error {
	t.Helper()
	n, err := tryNode(t, fs, settings...)
	if err == nil {
		stopNode(t, n)
		t.Fatalf("it started with %v", settings)
	}
	return err
}

func TestDirectoriesThatWereExchangedAreRefused(t *testing.T) {
	disks := [3]*env.MemFS{1: env.NewMem(), 2: env.NewMem()}
	first := startNode(t, disks[1], "node.id=1")
	join := "controller.quorum.bootstrap.servers=" + clusterAddr(t, first)
	second := startNode(t, disks[2], "node.id=2", join)
	stopNode(t, second)
	if err := refusedStart(t, disks[2], "node.id=1"); !errors.Is(err, log.ErrOtherNode) || !strings.Contains(err.Error(), "is of node 2, this is node 1") {
		t.Errorf("%v", err)
	}
	stopNode(t, first)
	if err := refusedStart(t, disks[1], "node.id=2", join); !errors.Is(err, log.ErrOtherNode) || !strings.Contains(err.Error(), "is of node 1, this is node 2") {
		t.Errorf("%v", err)
	}
}

// Without its meta.properties a directory would be taken for a new one, and what lies in it for void.
func TestADirectoryWithoutMetaPropertiesIsRefusedAndUnharmed(t *testing.T) {
	disk := env.NewMem()
	n := startNode(t, disk)
	produce(t, client(t, n), "orders", "one")
	stopNode(t, n)
	meta, err := disk.ReadFile("data/meta.properties")
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove("data/meta.properties"); err != nil {
		t.Fatal(err)
	}
	if err := refusedStart(t, disk); !errors.Is(err, log.ErrNoMeta) {
		t.Errorf("%v", err)
	}
	other := env.NewMem()
	stopNode(t, startNode(t, other))
	foreign, err := other.ReadFile("data/meta.properties")
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteFileAtomic("data/meta.properties", foreign); err != nil {
		t.Fatal(err)
	}
	if err := disk.RemoveAll("data/index"); err != nil {
		t.Fatal(err)
	}
	if err := refusedStart(t, disk); !strings.Contains(err.Error(), "belongs to the data directory with directory.id") {
		t.Errorf("%v", err)
	}
	if err := disk.WriteFileAtomic("data/meta.properties", meta); err != nil {
		t.Fatal(err)
	}
	n = startNode(t, disk)
	if got := values(t, leader(t, n, "orders", 0)); len(got) != 1 {
		t.Errorf("of one record there are %v", got)
	}
}

func TestANodeOfAnotherClusterIsRefused(t *testing.T) {
	disk := env.NewMem()
	stranger := startNode(t, disk, "node.id=2")
	stopNode(t, stranger)
	first := startNode(t, env.NewMem(), "node.id=1")
	at := clusterAddr(t, first)
	for _, setting := range []string{
		"controller.quorum.bootstrap.servers=" + at,
		"controller.quorum.voters=1@" + at + ",2@127.0.0.1:1",
	} {
		err := refusedStart(t, disk, "node.id=2", setting)
		if !strings.Contains(err.Error(), "of cluster "+stranger.dirs[0].dir.ClusterID()) || !strings.Contains(err.Error(), "of cluster "+first.dirs[0].dir.ClusterID()) {
			t.Errorf("%s: %v", setting, err)
		}
	}
	produce(t, client(t, first), "unharmed", "one")
	if s, err := first.quorum.Describe(); err != nil || len(s.Voters)+len(s.Observers) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestANodeIdThatIsTakenIsRefusedWhileItsOwnerLives(t *testing.T) {
	nodes, _, join := startThree(t)
	err := refusedStart(t, env.NewMem(), "node.id=2", join)
	if !strings.Contains(err.Error(), "node id 2 is taken") {
		t.Errorf("%v", err)
	}
	c := client(t, nodes[1])
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 1, 3, nil, "unharmed"); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "unharmed", "one")
	await(t, "all in sync", nodes[1:], func(img *controller.Image) bool {
		p := partitionOf(img, "unharmed")
		return p != nil && len(p.ISR) == 3
	})
}

// A process that slept until another one was registered under its node id must not go on.
func TestAProcessWhoseRegistrationIsOverEnds(t *testing.T) {
	n, err := tryNode(t, env.NewMem(), "broker.heartbeat.interval.ms=50")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(t, n) })
	_, err = n.quorum.Submit(t.Context(), controller.RegisterBroker{ID: 1, Incarnation: [16]byte{9}, Directories: [][16]byte{n.dirs[0].dir.ID()}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Wait() }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "the registration of this process is over") || !strings.Contains(err.Error(), "STALE_BROKER_EPOCH") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}

// wrongClock is ahead, or behind, for as long as it runs.
type wrongClock struct {
	env.Clock
	ahead time.Duration
}

func (c wrongClock) Now() time.Time { return c.Clock.Now().Add(c.ahead) }

// Times of records are the producers' business; nothing that holds the cluster together compares the clocks of two nodes.
func TestNodesWhoseClocksAreADayOffServeTogether(t *testing.T) {
	const session = 2 * time.Second
	var nodes [4]*Node
	join := "node.id=1"
	for id := 1; id <= 3; id++ {
		e := env.System()
		e.FS, e.Clock = env.NewMem(), wrongClock{e.Clock, time.Duration(id-2) * 24 * time.Hour}
		n, err := tryNodeIn(t, e, fmt.Sprintf("node.id=%d", id), join, fmt.Sprintf("broker.session.timeout.ms=%d", session.Milliseconds()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stopNode(t, n) })
		if nodes[id] = n; id == 1 {
			join = "controller.quorum.bootstrap.servers=" + clusterAddr(t, n)
		}
	}
	c := client(t, nodes[1], kgo.SeedBrokers(nodes[1].Addr(), nodes[2].Addr(), nodes[3].Addr()))
	two, days := "2", "172800000" // a leader that is behind refuses what seems to come from more than an hour ahead, as Kafka does
	configs := map[string]*string{"min.insync.replicas": &two, "message.timestamp.after.max.ms": &days}
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), 3, 3, configs, "orders"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(session + session/2); time.Now().Before(end); { // longer than any session or lease
		produce(t, c, "orders", "again")
	}
	await(t, "every broker serves under its first registration", nodes[1:], func(img *controller.Image) bool {
		served := 0
		for b := range img.Brokers() {
			if !b.Fenced && b.Epoch == nodes[b.ID].epoch {
				served++
			}
		}
		return served == 3
	})
	id, _, _ := nodes[1].quorum.Leader()
	stopNode(t, nodes[id])
	produce(t, c, "orders", "after the controller has left")
}
