package sns_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/sns"
)

const topic = "arn:aws:sns:us-east-1:111122223333:parry"

type fakePublisher struct {
	got [3]string
	err error
}

func (f *fakePublisher) Publish(_ context.Context, topicARN, subject, message string) (string, error) {
	f.got = [3]string{topicARN, subject, message}
	return "m-1", f.err
}

func TestSend(t *testing.T) {
	t.Parallel()
	p := &fakePublisher{}
	s, err := sns.New(sns.Config{Publisher: p, Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	m := notify.Message{ID: "ntf-1", Subject: "[HIGH] Parry: öffentlich\r\nX: y " + strings.Repeat("a", 200), Body: "One.\nTwo.\n"}
	if answer, err := s.Send(t.Context(), m); err != nil || answer != "SNS message m-1" {
		t.Fatalf("answer %q, %v", answer, err)
	}
	want := [3]string{topic, "[HIGH] Parry: ?ffentlich X: y " + strings.Repeat("a", 67) + "...", "One.\nTwo.\n\nNotification ntf-1\n"}
	if diff := cmp.Diff(want, p.got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(p.got[1]) != 100 {
		t.Errorf("the subject has %d characters", len(p.got[1]))
	}
}

func TestRetryClass(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err       error
		transient bool
	}{
		"throttled":          {&apimodel.APIError{Code: "Throttling", HTTPStatus: 400, Throttled: true}, true},
		"AWS is ill":         {&apimodel.APIError{Code: "InternalFailure", HTTPStatus: 500}, true},
		"answer lost":        {&apimodel.APIError{Code: "RequestTimeout", Uncertain: true}, true},
		"no such topic":      {&apimodel.APIError{Code: "NotFound", HTTPStatus: 404}, false},
		"not granted":        {fault.Errorf(fault.Denied, "publish", "no grant"), false},
		"connection refused": {errors.New("connection refused"), true},
		"marked already":     {fault.Terminal(errors.New("no")), false},
	} {
		s, err := sns.New(sns.Config{Publisher: &fakePublisher{err: tc.err}, Topic: topic})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Send(t.Context(), notify.Message{Subject: "s"})
		_, transient := fault.IsTransient(err)
		if transient != tc.transient || fault.IsTerminal(err) == tc.transient || !errors.Is(err, tc.err) {
			t.Errorf("%s: error %v, transient %v, want %v", name, err, transient, tc.transient)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, arn := range []string{"", "parry", "arn:aws:sqs:us-east-1:111122223333:q", topic + "\n", topic + ".fifo"} {
		if _, err := sns.New(sns.Config{Publisher: &fakePublisher{}, Topic: arn}); !fault.Is(err, fault.Invalid) {
			t.Errorf("topic %q gives %v", arn, err)
		}
	}
	if _, err := sns.New(sns.Config{Topic: topic}); err == nil {
		t.Error("a channel without a publisher is made")
	}
}
