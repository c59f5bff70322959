package api_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
)

// channelVault has the channels mail, which takes what it is sent, and broken.
type channelVault struct{ v *vault }

func (c channelVault) Reports() []notify.Report {
	return []notify.Report{{Name: "broken", Kind: "slack"}, {Name: "mail", Kind: "email", Sent: 2, Answer: "SMTP ok", Grouping: notify.Grouping{By: []string{"rule"}, Interval: time.Minute, Max: 50}}}
}

func (c channelVault) Test(_ context.Context, channel, event, by string) (notify.Trial, error) {
	c.v.called(fmt.Sprintf("test %s with %s by %s", channel, event, by))
	if channel == "broken" {
		return notify.Trial{Notification: "ntf-2", Problem: "answered 404", Hint: "look"}, nil
	}
	return notify.Trial{Notification: "ntf-1", Subject: "[TEST] s", Answer: "SMTP ok"}, nil
}

// A test goes to people outside: only an administrator of all accounts sends one, and
// the audit log says so.
func TestChannelsAreTestedByAdministrators(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	for _, refused := range []*client.Client{b.as(t, "admin", dev), b.as(t, "operator", "*"), b.as(t, "approver", "*"), b.as(t, "reader", "*"), b.as(t, "source", "*")} {
		if _, err := refused.TestChannel(ctx, "mail", "failed"); !fault.Is(err, fault.Denied) {
			t.Errorf("a test gives %v", err)
		}
	}
	for _, refused := range []*client.Client{b.as(t, "admin", dev), b.as(t, "reader", dev), b.as(t, "source", "*")} {
		if _, err := refused.Channels(ctx); !fault.Is(err, fault.Denied) {
			t.Errorf("the list gives %v", err)
		}
	}
	if len(b.calls)+len(b.audited) > 0 {
		t.Errorf("reached: %v, audited: %v", b.calls, b.audited)
	}
	list, err := b.as(t, "reader", "*").Channels(ctx)
	if err != nil || len(list.Items) != 2 || !cmp.Equal(list.Items[1], api.Channel{Name: "mail", Kind: "email", Sent: 2, Answer: "SMTP ok", GroupBy: []string{"rule"}, GroupWait: "0s", GroupInterval: "1m0s", MaxPerMessage: 50}) {
		t.Errorf("%+v, %v", list, err)
	}
	admin := b.as(t, "admin", "*")
	got, err := admin.TestChannel(ctx, "mail", "failed")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(api.ChannelTest{Channel: "mail", Event: "failed", Notification: "ntf-1", Subject: "[TEST] s", Delivered: true, Answer: "SMTP ok"}, got); diff != "" {
		t.Error(diff)
	}
	got, err = admin.TestChannel(ctx, "broken", "")
	if err != nil || got.Delivered || got.Problem != "answered 404" || got.Hint != "look" || got.Event != "succeeded" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, name := range []string{"none", "a/b", "../keys"} {
		if _, err := admin.TestChannel(ctx, name, "failed"); !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
			t.Errorf("channel %q gives %v", name, err)
		}
	}
	if _, err := admin.TestChannel(ctx, "mail", "party"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown event gives %v", err)
	}
	if diff := cmp.Diff([]string{"test mail with failed by admin", "test broken with succeeded by admin"}, b.calls); diff != "" {
		t.Error(diff)
	}
	if len(b.audited) != 2 || b.audited[0].Action != "channel.tested" || b.audited[0].Object != "mail" || b.audited[0].Actor != "admin" || string(b.audited[0].Detail) != `{"event":"failed"}` {
		t.Errorf("audited: %+v", b.audited)
	}
}
