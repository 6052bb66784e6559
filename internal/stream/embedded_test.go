package stream

import "testing"

func startBroker(t testing.TB, dir string) *Broker {
	t.Helper()
	b, err := StartBroker(BrokerConfig{Dir: dir, NoSync: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestEmbeddedBroker(t *testing.T) {
	b := startBroker(t, t.TempDir())
	runSuite(t, &cluster{cfg: b.Config(), lose: func(t *testing.T, topic string, part int32, before int64) {
		if err := b.cluster.DeleteRecords(topic, part, before); err != nil {
			t.Fatal(err)
		}
	}})
}
