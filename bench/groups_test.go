package bench

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func groupsCluster(t *testing.T) (*kfake.Cluster, Target) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(4, "bench"),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, Target{Bootstrap: c.ListenAddrs()[:1]}
}

func groupNames(t *testing.T, at Target) []string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(at.Bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	groups, err := kadm.NewClient(client).ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return groups.Groups()
}

func TestMembersJoinStayAliveAndLeaveNothingBehind(t *testing.T) {
	for name, connections := range map[string]int{"own connections": 0, "shared connections": 2} {
		t.Run(name, func(t *testing.T) {
			_, at := groupsCluster(t)
			r, err := Groups(t.Context(), GroupsOptions{
				Target: at, Groups: 3, Members: 2, Heartbeat: 10 * time.Millisecond, Committers: 1, Connections: connections,
				WarmUp: 20 * time.Millisecond, Duration: 300 * time.Millisecond, JoinTimeout: 20 * time.Second,
			})
			if err != nil || r.Errors != 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if r.Heartbeats < 6 || r.Commits == 0 || r.Heartbeat == nil || r.Commit.P50 <= 0 {
				t.Errorf("%+v", r)
			}
			if left := groupNames(t, at); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestOffsetsThatWereCommittedAreFoundAndOthersMissed(t *testing.T) {
	_, at := groupsCluster(t)
	o := OffsetsOptions{Target: at, Groups: 25, Batch: 4, Connections: 3, Timeout: 20 * time.Second}
	if r, err := CommitOffsets(t.Context(), o); err != nil || r.Done != 25 || r.Requests != 25 {
		t.Fatalf("commit: %+v, %v", r, err)
	}
	if r, err := FetchOffsets(t.Context(), o); err != nil || r.Done != 25 || r.Missing+r.Wrong != 0 || r.Retries != 0 {
		t.Errorf("fetch: %+v, %v", r, err)
	}
	more := o
	more.Groups = 27
	r, err := FetchOffsets(t.Context(), more)
	if err == nil || !strings.Contains(err.Error(), "2 have none") || r.Missing != 2 || r.Done != 25 {
		t.Errorf("fetch of two too many: %+v, %v", r, err)
	}
	if err := DeleteGroups(t.Context(), o); err != nil {
		t.Error(err)
	}
	if left := groupNames(t, at); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestACoordinatorThatIsLoadingIsAskedAgain(t *testing.T) {
	c, at := groupsCluster(t)
	o := OffsetsOptions{Target: at, Groups: 5, Timeout: 20 * time.Second}
	if _, err := CommitOffsets(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	c.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if refused.Add(1) > 3 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		for _, g := range req.(*kmsg.OffsetFetchRequest).Groups {
			r := kmsg.NewOffsetFetchResponseGroup()
			r.Group, r.ErrorCode = g.Group, kerr.CoordinatorLoadInProgress.Code
			resp.Groups = append(resp.Groups, r)
		}
		return resp, nil, true
	})
	if r, err := FetchOffsets(t.Context(), o); err != nil || r.Done != 5 || r.Retries != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestARefusalThatStaysEndsTheFetch(t *testing.T) {
	c, at := groupsCluster(t)
	c.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
		r := kmsg.NewOffsetFetchResponseGroup()
		r.Group, r.ErrorCode = req.(*kmsg.OffsetFetchRequest).Groups[0].Group, kerr.GroupAuthorizationFailed.Code
		resp.Groups = append(resp.Groups, r)
		return resp, nil, true
	})
	_, err := FetchOffsets(t.Context(), OffsetsOptions{Target: at, Groups: 5, Timeout: 20 * time.Second})
	if err == nil || !strings.Contains(err.Error(), "GROUP_AUTHORIZATION_FAILED") {
		t.Errorf("%v", err)
	}
}

func TestTheSyncLoopLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	r, err := SyncLoop(context.Background(), SyncLoopOptions{Dir: dir, Count: 5, Size: 100})
	if err != nil || r.Writes != 5 || r.Latency.Count != 5 {
		t.Errorf("%+v, %v", r, err)
	}
	if left := files(t, dir); left != 0 {
		t.Errorf("%d files are left", left)
	}
	if _, err := SyncLoop(context.Background(), SyncLoopOptions{Dir: dir + "/none"}); err == nil {
		t.Error("no error without the directory")
	}
}

func files(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestTheSyncLoopKeepsItsRate(t *testing.T) {
	const writes, rate = 20, 200
	r, err := SyncLoop(context.Background(), SyncLoopOptions{Dir: t.TempDir(), Count: writes, Size: 100, Rate: rate, Duration: time.Minute})
	if err != nil || r.Writes != writes {
		t.Fatalf("got %+v, %v", r, err)
	}
	if least := float64(writes-1) / rate; r.Seconds < least {
		t.Errorf("%d writes took %.3f s, less than %.3f", writes, r.Seconds, least)
	}
}
