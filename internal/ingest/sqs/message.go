package sqs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// message is one that was received and not deleted yet.
type message struct {
	id, receipt, body string
	receives          int
}

// call makes one call about the queue.
func (c *Collector) call(ctx context.Context, operation string, input map[string]any) (map[string]any, error) {
	input["QueueUrl"] = c.cfg.URL
	reply, err := c.cfg.Caller.Call(ctx, "collect", apimodel.Call{Service: "sqs", Operation: operation, Region: c.cfg.Region, Input: input})
	var api *apimodel.APIError
	if errors.As(err, &api) && api.HTTPStatus == http.StatusForbidden {
		err = fault.E(fault.Denied, "", err).
			WithHint("let Parry's own principal do sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility on the queue, and kms:Decrypt where it is encrypted with a key")
	}
	return reply.Output, err
}

// messages waits for messages as long as SQS allows.
func (c *Collector) messages(ctx context.Context) ([]message, error) {
	out, err := c.call(ctx, "ReceiveMessage", map[string]any{
		"MaxNumberOfMessages": batchSize, "WaitTimeSeconds": int(pollTime / time.Second), "VisibilityTimeout": int(c.cfg.Visibility / time.Second),
		"MessageSystemAttributeNames": []any{"ApproximateReceiveCount"},
	})
	if err != nil {
		return nil, fmt.Errorf("receive messages: %w", err)
	}
	list, _ := out["Messages"].([]any)
	messages := make([]message, 0, len(list))
	for _, v := range list {
		m, _ := v.(map[string]any)
		one := message{}
		one.id, _ = m["MessageId"].(string)
		one.receipt, _ = m["ReceiptHandle"].(string)
		one.body, _ = m["Body"].(string)
		attributes, _ := m["Attributes"].(map[string]any)
		count, _ := attributes["ApproximateReceiveCount"].(string)
		one.receives, _ = strconv.Atoi(count) // absent: 0
		messages = append(messages, one)
	}
	return messages, nil
}

// hold keeps the messages hidden until the function that it gives is called.
// Without it a batch that takes long would be given to another receiver.
func (c *Collector) hold(ctx context.Context, messages []message) (release func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		every := time.NewTicker(c.cfg.Visibility / 2)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
			entries := entriesOf(messages)
			for _, e := range entries {
				e.(map[string]any)["VisibilityTimeout"] = int(c.cfg.Visibility / time.Second)
			}
			// A message that is not held comes again, which is harmless.
			if _, err := c.call(ctx, "ChangeMessageVisibilityBatch", map[string]any{"Entries": entries}); err != nil && ctx.Err() == nil {
				c.log.WarnContext(ctx, "messages not held", "error", err)
			}
		}
	}()
	return func() { cancel(); <-done }
}

func entriesOf(messages []message) []any {
	out := make([]any, len(messages))
	for i, m := range messages {
		out[i] = map[string]any{"Id": strconv.Itoa(i), "ReceiptHandle": m.receipt}
	}
	return out
}

// remove deletes messages whose content is stored. One that stays is delivered
// again and then changes nothing.
func (c *Collector) remove(ctx context.Context, messages []message) error {
	out, err := c.call(ctx, "DeleteMessageBatch", map[string]any{"Entries": entriesOf(messages)})
	if err != nil {
		return fmt.Errorf("delete messages: %w", err)
	}
	if failed, _ := out["Failed"].([]any); len(failed) > 0 {
		first, _ := failed[0].(map[string]any)
		return fault.Errorf(fault.Unavailable, "delete messages", "%d of %d stay in the queue: %v", len(failed), len(messages), first["Code"])
	}
	return nil
}
