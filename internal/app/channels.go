package app

import (
	"context"
	"os"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/email"
	"github.com/parry-security/parry/internal/notify/slack"
	"github.com/parry-security/parry/internal/notify/sns"
	"github.com/parry-security/parry/internal/notify/webhook"
)

// ownTraffic lists what Parry may do without a plan: publishing to the topics
// of the configured channels, and collecting from the configured queues, and writing
// back to the configured hubs. The list is hashed and audited at every start.
func (s *Server) ownTraffic() []awsapi.Grant {
	grants := []awsapi.Grant{}
	for _, c := range s.cfg.Channels {
		if c.Kind == "sns" {
			grants = append(grants, awsapi.Grant{Service: "sns", Operation: "Publish", ARN: c.Topic})
		}
	}
	for _, q := range s.cfg.Sources.Queues {
		grants = append(grants, queueGrants(q)...)
	}
	for _, arn := range s.cfg.EventTargets {
		if service, operation, ok := targetOperation(arn); ok {
			grants = append(grants, awsapi.Grant{Service: service, Operation: operation, ARN: arn})
		}
	}
	for _, h := range s.cfg.Sources.Hubs {
		grants = append(grants, hubGrants(h)...)
	}
	return grants
}

func (s *Server) buildNotify(t *stages) error {
	channels, kinds, groups := map[string]notify.Sender{}, map[string]string{}, map[string]notify.Grouping{}
	for _, c := range s.cfg.Channels {
		sender, err := s.channel(c, t.grants)
		if err != nil {
			return err
		}
		channels[c.Name], kinds[c.Name] = sender, c.Kind
		if len(c.GroupBy) > 0 {
			groups[c.Name] = c.Grouping()
		}
	}
	var err error
	t.notify, err = notify.New(notify.Config{Channels: channels, Kinds: kinds, Groups: groups, Findings: s.store, Log: s.store, Clock: s.clock, Logger: s.log})
	return err
}

func (s *Server) channel(c config.Channel, grants []awsapi.Grant) (notify.Sender, error) {
	switch c.Kind {
	case "email":
		return mailer(c)
	case "sns":
		session := s.gate.OwnTraffic(awsapi.Identity{SessionName: "parry-notify"}, grants)
		return sns.New(sns.Config{Publisher: publisher{session}, Topic: c.Topic, Format: c.Format})
	case "webhook":
		return webhook.New(webhook.Config{URL: c.URL, Secret: secretFrom(c.Secret), Clock: s.clock})
	case "slack":
		if c.Token != "" {
			return slack.NewBot(slack.BotConfig{Token: secretFrom(c.Token), Channel: c.SlackChannel, Name: c.Name, Threads: s.store, Host: strings.Join(c.Hosts, "")})
		}
		return slack.New(slack.Config{URL: secretFrom(c.SlackURL), Hosts: c.Hosts})
	}
	return nil, fault.Errorf(fault.Invalid, "configure channel "+c.Name, "kind %q is not email, sns, webhook or slack", c.Kind)
}

func mailer(c config.Channel) (*email.Sender, error) {
	return email.New(email.Config{Server: c.SMTP, TLS: c.TLS, Username: c.Username, Password: secretFrom(c.Password), From: c.From, To: c.To})
}

// secretFrom reads a secret from the environment variable that the
// configuration names, so that no secret stands in a file.
func secretFrom(variable string) string {
	if variable == "" {
		return ""
	}
	return os.Getenv(variable)
}

// publisher publishes through the gate as own traffic.
type publisher struct{ session *awsapi.Session }

// Publish sends one message to topic and gives the id that SNS gave it.
func (p publisher) Publish(ctx context.Context, topic, subject, message string) (string, error) {
	reply, err := p.session.Call(ctx, "notify", apimodel.Call{
		Service: "sns", Operation: "Publish", Region: regionOf(topic),
		Input: map[string]any{"TopicArn": topic, "Subject": subject, "Message": message},
	})
	if err != nil {
		return "", err
	}
	id, _ := reply.Output["MessageId"].(string)
	return id, nil
}

// regionOf reads the region of an ARN.
func regionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 5)
	if len(parts) < 5 {
		return ""
	}
	return parts[3]
}
