package sqs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// The limits of SQS.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
const (
	batchSize = 10
	pollTime  = 20 * time.Second
)

// Caller makes calls to AWS as own traffic: *awsapi.Session.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// Store is where what was collected goes.
type Store interface {
	AppendInbox(ctx context.Context, items []store.InboxItem) error
	PutRejected(ctx context.Context, list []store.Rejected) error
	Enqueue(ctx context.Context, f store.File, eff store.Effects) error
}

// Config is what New needs.
type Config struct {
	// URL is the queue's, Region where it is. Required.
	URL, Region string
	Source      ingest.Source // required
	Caller      Caller        // required
	Store       Store         // required
	Read        ingest.Read   // required
	// Forward puts events on the bus.
	Forward bool
	// Receivers are how many batches are worked on at once. Default 2.
	Receivers int
	// Visibility is how long SQS hides a message that was received; it is
	// prolonged while the message is being worked on. Default 60 s.
	Visibility time.Duration
	// MaxReceives is how often a message may come before it is kept aside unread:
	// it has stopped its reader every time. Default 50.
	MaxReceives int
	Clock       service.Clock // default: the system's
	Logger      *slog.Logger  // default: discard
	// Wake tells triage that there is work; it must not block. Default: nothing.
	Wake func()
	// Seen is told of the regions of accounts that events came of; it must not block.
	// Default: nobody is.
	Seen func(source, account, region string)
}

// Collector receives the messages of one queue. It is a service.Service.
type Collector struct {
	cfg Config
	log *slog.Logger

	mu   sync.Mutex
	stop context.CancelFunc
	done sync.WaitGroup

	report report
}

// New makes a Collector; Start makes it receive.
func New(cfg Config) (*Collector, error) {
	if cfg.URL == "" || cfg.Region == "" || cfg.Caller == nil || cfg.Store == nil || cfg.Read == nil || cfg.Source.Name == "" {
		return nil, fault.Errorf(fault.Internal, "make queue collector", "queue, region, caller, store, reader and source are required")
	}
	if cfg.Receivers <= 0 {
		cfg.Receivers = 2
	}
	if cfg.Visibility <= 0 {
		cfg.Visibility = time.Minute
	}
	if cfg.MaxReceives <= 0 {
		cfg.MaxReceives = 50
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	if cfg.Seen == nil {
		cfg.Seen = func(string, string, string) {}
	}
	return &Collector{cfg: cfg, log: cfg.Logger.With("component", "ingest.sqs", "source", cfg.Source.Name)}, nil
}

// Start begins to receive in the background.
func (c *Collector) Start(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	for range c.cfg.Receivers {
		c.done.Go(func() { c.receive(ctx) })
	}
	return nil
}

// Stop ends the polls and waits for the batches under way.
func (c *Collector) Stop(ctx context.Context) error {
	c.mu.Lock()
	stop := c.stop
	c.stop = nil
	c.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	ended := make(chan struct{})
	go func() { c.done.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// receive polls until ctx ends. After a failure it waits, longer each time.
func (c *Collector) receive(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		err := c.Poll(ctx)
		if err == nil {
			pause = firstPause
			continue
		}
		if ctx.Err() != nil {
			return
		}
		c.report.fail(err, c.cfg.Clock.Now())
		c.log.WarnContext(ctx, "queue not collected", "error", err, "hint", fault.HintOf(err), "again_after", pause)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		pause = min(2*pause, maxPause)
	}
}

// Poll receives one batch, waiting for it up to 20 s, and stores and deletes it.
func (c *Collector) Poll(ctx context.Context) error {
	messages, err := c.messages(ctx)
	if err != nil || len(messages) == 0 {
		if err == nil {
			c.report.polled(c.cfg.Clock.Now())
		}
		return err
	}
	// From here on the batch is carried through even if the service stops: what
	// is begun takes a moment, and what is left comes again.
	work := context.WithoutCancel(ctx)
	hold := c.hold(work, messages)
	defer hold()
	now := c.cfg.Clock.Now()
	var taken ingest.Taken
	for _, m := range messages {
		taken.Add(c.take(m, now))
	}
	if err := c.store(work, taken); err != nil {
		return err
	}
	c.report.took(len(messages), taken, now)
	return c.remove(work, messages)
}

// take reads one message. One that has come too often is kept aside unread.
func (c *Collector) take(m message, now time.Time) ingest.Taken {
	read := c.cfg.Read
	if m.receives > c.cfg.MaxReceives {
		read = func([]byte) (ingest.Document, error) {
			return ingest.Document{}, fault.Errorf(fault.Invalid, "collect message", "it was received %d times and never finished", m.receives)
		}
	}
	return c.cfg.Source.Take(read, []byte(m.body), m.id, now, c.cfg.Forward)
}

// store keeps what was taken; only when all of it is kept the messages go.
func (c *Collector) store(ctx context.Context, t ingest.Taken) error {
	if err := c.cfg.Store.AppendInbox(ctx, t.Items); err != nil {
		return fault.E(fault.CodeOf(err), "store findings of queue", err)
	}
	if len(t.Items) > 0 {
		c.cfg.Wake()
	}
	if len(t.Aside) > 0 {
		if err := c.cfg.Store.PutRejected(ctx, t.Aside); err != nil {
			return fault.E(fault.CodeOf(err), "keep rejected messages of queue", err)
		}
		c.log.WarnContext(ctx, "messages rejected", "count", len(t.Aside), "first_code", t.Aside[0].Code, "next", "parry source rejected")
	}
	if len(t.Events) > 0 {
		if err := c.cfg.Store.Enqueue(ctx, store.Findings, store.Effects{Outbox: t.Events}); err != nil {
			return fault.E(fault.CodeOf(err), "put events of queue on the bus", err)
		}
		for _, at := range t.Seen {
			c.cfg.Seen(c.cfg.Source.Name, at.Account, at.Region)
		}
	}
	return nil
}
