package broker

import (
	"errors"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func initProducer(version int16) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = version
	return req
}

func TestInitProducerIDNeverGivesAnIDTwice(t *testing.T) {
	b := startServer(t, nil)
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for i := range 6 {
		c := b.dial()
		wg.Go(func() {
			for range 400 {
				resp := ask[*kmsg.InitProducerIDResponse](c, initProducer(int16(i)))
				mu.Lock()
				if resp.ErrorCode != 0 || resp.ProducerEpoch != 0 || seen[resp.ProducerID] {
					t.Errorf("v%d: %+v", i, resp)
				}
				seen[resp.ProducerID] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 2400 {
		t.Errorf("%d ids", len(seen))
	}
}

func TestInitProducerIDResumeGetsANewID(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	first := ask[*kmsg.InitProducerIDResponse](c, initProducer(5))
	req := initProducer(5)
	req.ProducerID, req.ProducerEpoch = first.ProducerID, first.ProducerEpoch
	again := ask[*kmsg.InitProducerIDResponse](c, req)
	if again.ErrorCode != 0 || again.ProducerID == first.ProducerID || again.ProducerEpoch != 0 {
		t.Errorf("%+v after %+v", again, first)
	}
	req.ProducerEpoch = -1
	mustBeCode(t, "an id without an epoch", ask[*kmsg.InitProducerIDResponse](c, req).ErrorCode, kafkaproto.ErrInvalidRequest)
}

func TestInitProducerIDForATransactionIsRefusedForGood(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	for id, want := range map[string]*kafkaproto.Error{"tx": kafkaproto.ErrUnsupportedVersion, "": kafkaproto.ErrInvalidRequest} {
		req := initProducer(4)
		req.TransactionalID, req.TransactionTimeoutMillis = &id, 1000
		resp := ask[*kmsg.InitProducerIDResponse](c, req)
		mustBeCode(t, "transactional id "+id, resp.ErrorCode, want)
		if resp.ProducerID != -1 || resp.ProducerEpoch != -1 || want.Retriable {
			t.Errorf("%+v", resp)
		}
	}
}

func TestInitProducerIDIsRetriableWhileNoBlockCanBeHad(t *testing.T) {
	b := startServer(t, nil)
	b.quorum.refuse = func(c controller.Command) error { return errors.New("no leader") }
	c := b.dial()
	resp := ask[*kmsg.InitProducerIDResponse](c, initProducer(4))
	mustBeCode(t, "no block", resp.ErrorCode, kafkaproto.ErrCoordinatorLoadInProgress)
	b.quorum.refuse = nil
	mustBeCode(t, "a block", ask[*kmsg.InitProducerIDResponse](c, initProducer(4)).ErrorCode, nil)
}
