package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify/email"
)

// LookAtKey tells whether the data key is there and can be read. Code not_found is for
// one that is not there.
func LookAtKey(cfg config.Config) error {
	_, err := existingKey(cfg)
	return err
}

// DirInUse reports whether a server uses a data directory. It makes nothing there.
func DirInUse(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(filepath.Clean(dir), "serve.lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fault.E(fault.Unavailable, "look at the lock", err)
	}
	defer func() { _ = f.Close() }() // which gives the lock back
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// CheckMail connects as a channel of kind email does, with TLS and login, and sends
// nothing.
func CheckMail(ctx context.Context, c config.Channel) error {
	s, err := email.New(email.Config{Server: c.SMTP, TLS: c.TLS, Username: c.Username, Password: secretFrom(c.Password), From: c.From, To: c.To})
	if err != nil {
		return err
	}
	return s.Check(ctx)
}

// TakeRole tries to take the member role in an account as a server does to make changes,
// with source identity and, where they are on, session tags. Nothing is done with it but
// asking which Regions are on there: Regions of what it gives.
func (c *Caller) TakeRole(ctx context.Context, account string, tags bool) (*awsapi.Reached, error) {
	id := c.id
	id.SessionName = "parry-doctor"
	if tags {
		id.Tags = awsapi.SessionTags{Remediation: "doctor", Execution: "doctor", Plan: "doctor"}
	}
	return c.gate.Reach(ctx, id, account)
}

// AskQueue asks a queue for a message, which stays visible to others.
func (c *Caller) AskQueue(ctx context.Context, q config.QueueSource) error {
	own := c.gate.OwnTraffic(awsapi.Identity{SessionName: "parry-doctor"}, queueGrants(q))
	_, err := own.Call(ctx, "doctor", apimodel.Call{Service: "sqs", Operation: "ReceiveMessage", Region: q.Region, Input: map[string]any{
		"QueueUrl": q.URL, "MaxNumberOfMessages": 1, "VisibilityTimeout": 0, "WaitTimeSeconds": 0,
	}})
	return err
}
