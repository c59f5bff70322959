package app

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/storetest"
)

// Two nodes with one PostgreSQL keep together to a limit that AWS sets them and
// nobody told them: real time, real sockets, real tables.
func TestTwoNodesShareALimitOverPostgreSQL(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	const perSecond = 20
	limiter := rate.NewLimiter(perSecond, perSecond)
	var admitted, turnedAway atomic.Int64
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !limiter.Allow() {
			turnedAway.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`))
			return
		}
		admitted.Add(1)
		_, _ = w.Write([]byte(`<ListAllMyBucketsResult></ListAllMyBucketsResult>`))
	}))
	t.Cleanup(aws.Close)
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	var done [2]atomic.Int64
	for i, name := range []string{"node-1", "node-2"} {
		s := openNode(t, url)
		if _, err := s.Heartbeat(ctx, name, time.Hour); err != nil {
			t.Fatal(err)
		}
		client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Getenv: func(key string) string {
			return map[string]string{"AWS_ENDPOINT_URL": aws.URL}[key]
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		sharing := client.ShareRates(sharedRates{s})
		if err := sharing.Start(ctx); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sharing.Stop(context.Background()) })
		for range 8 {
			workers.Go(func() {
				creds := awsapi.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: awsapi.NewSecret("s"), Account: "111122223333"}
				for ctx.Err() == nil {
					if _, err := client.Send(ctx, creds, apimodel.Call{Service: "s3", Operation: "ListBuckets", Region: "us-east-1"}); err == nil {
						done[i].Add(1)
					} else if ctx.Err() == nil {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			})
		}
	}
	pause := func(d time.Duration) { time.Sleep(d) }
	pause(6 * time.Second) // until they know the limit
	yes, no, one, two := admitted.Load(), turnedAway.Load(), done[0].Load(), done[1].Load()
	const span = 12
	pause(span * time.Second)
	yes, no, one, two = admitted.Load()-yes, turnedAway.Load()-no, done[0].Load()-one, done[1].Load()-two
	stop()
	workers.Wait()
	throughput, part := float64(yes)/span, float64(no)/float64(yes+no)
	t.Logf("%.1f/s of %d/s, %.1f %% throttled, %d and %d calls", throughput, perSecond, 100*part, one, two)
	if throughput < 0.85*perSecond || part > 0.10 {
		t.Errorf("%.1f/s of %d/s, %.1f %% throttled; want at least 85 %% and at most 10 %%", throughput, perSecond, 100*part)
	}
	if one > 2*two || two > 2*one {
		t.Errorf("%d and %d calls are not shared 2:1 or better", one, two)
	}
}

func openNode(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Sealer: storetest.Sealer(t), Clock: service.SystemClock{}, MaxConns: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}
