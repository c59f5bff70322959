package testenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	maxMail     = 10 << 20
	mailTimeout = time.Minute
)

// Mail is a message that the sink took.
type Mail struct {
	From    string
	To      []string
	Subject string // decoded
	Data    []byte // as sent, without the closing dot
	File    string // its .eml file
}

// Text gives the whole message, headers and body, as text.
func (m Mail) Text() string { return string(m.Data) }

// SMTPSink is a mail server on loopback that delivers nothing and keeps
// everything, in memory and as DIR/0001.eml and so on.
type SMTPSink struct {
	dir      string
	listener net.Listener
	wait     sync.WaitGroup

	mu      sync.Mutex
	mails   []Mail
	conns   map[net.Conn]bool
	refuse  int // messages still to refuse
	changed chan struct{}
	stopped bool
}

// StartSMTP listens on a free loopback port.
func StartSMTP(ctx context.Context, dir string) (*SMTPSink, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start mail sink: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start mail sink: %w", err)
	}
	s := &SMTPSink{dir: dir, listener: l, conns: map[net.Conn]bool{}, changed: make(chan struct{})}
	s.wait.Go(s.accept)
	return s, nil
}

// Addr is host and port.
func (s *SMTPSink) Addr() string { return s.listener.Addr().String() }

// Mails gives what was taken so far.
func (s *SMTPSink) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Await gives the first message, past or coming, that match accepts.
func (s *SMTPSink) Await(ctx context.Context, match func(Mail) bool) (Mail, error) {
	next := 0
	for {
		s.mu.Lock()
		list, changed := s.mails, s.changed
		s.mu.Unlock()
		for ; next < len(list); next++ {
			if match(list[next]) {
				return list[next], nil
			}
		}
		select {
		case <-ctx.Done():
			return Mail{}, context.Cause(ctx)
		case <-changed:
		}
	}
}

// Refuse answers the next n messages with "451 try again later".
func (s *SMTPSink) Refuse(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = n
}

// Stop closes every connection. It may be repeated.
func (s *SMTPSink) Stop() {
	s.mu.Lock()
	s.stopped = true
	for c := range s.conns {
		_ = c.Close() // it may be closed already
	}
	s.mu.Unlock()
	_ = s.listener.Close() // the same
	s.wait.Wait()
}

func (s *SMTPSink) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			_ = conn.Close() // nobody listens any more
			return
		}
		s.conns[conn] = true
		s.mu.Unlock()
		s.wait.Go(func() {
			s.serve(conn)
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
			_ = conn.Close() // the client may have been first
		})
	}
}

// serve speaks SMTP (RFC 5321) as far as a sender needs it.
func (s *SMTPSink) serve(conn net.Conn) {
	text := textproto.NewReader(bufio.NewReader(io.LimitReader(conn, 4*maxMail)))
	say := func(line string) bool {
		_ = conn.SetDeadline(time.Now().Add(mailTimeout)) // a closed connection fails below
		_, err := io.WriteString(conn, line+"\r\n")
		return err == nil
	}
	var m Mail
	ok := say("220 localhost ESMTP sink")
	for ok {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			ok = say("250-localhost") && say("250-8BITMIME") && say("250-SMTPUTF8") && say(fmt.Sprintf("250 SIZE %d", maxMail))
		case "HELO", "NOOP":
			ok = say("250 ok")
		case "RSET":
			m = Mail{}
			ok = say("250 ok")
		case "MAIL":
			m = Mail{From: address(rest)}
			ok = say("250 ok")
		case "RCPT":
			m.To = append(m.To, address(rest))
			ok = say("250 ok")
		case "DATA":
			if m.From == "" || len(m.To) == 0 {
				ok = say("503 MAIL and RCPT first")
				continue
			}
			if ok = say("354 go on"); !ok {
				return
			}
			m.Data, err = io.ReadAll(io.LimitReader(text.DotReader(), maxMail))
			if err != nil {
				return
			}
			ok = say(s.take(m))
			m = Mail{}
		case "QUIT":
			say("221 bye")
			return
		default:
			ok = say("502 not implemented")
		}
	}
}

// address takes what stands between < and >.
func address(arg string) string {
	_, rest, _ := strings.Cut(arg, "<")
	out, _, _ := strings.Cut(rest, ">")
	return out
}

// take keeps a message and gives the answer to DATA.
func (s *SMTPSink) take(m Mail) string {
	if msg, err := mail.ReadMessage(bytes.NewReader(m.Data)); err == nil {
		m.Subject = msg.Header.Get("Subject")
		if s, err := new(mime.WordDecoder).DecodeHeader(m.Subject); err == nil {
			m.Subject = s
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse > 0 {
		s.refuse--
		return "451 try again later"
	}
	m.File = filepath.Join(s.dir, fmt.Sprintf("%04d.eml", len(s.mails)+1))
	if err := os.WriteFile(m.File, m.Data, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "452 cannot store"
	}
	s.mails = append(s.mails, m)
	close(s.changed)
	s.changed = make(chan struct{})
	return "250 kept"
}
