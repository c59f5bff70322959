package email_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is an SMTP server (RFC 5321) with STARTTLS and AUTH PLAIN.
type server struct {
	addr     string
	roots    *x509.CertPool
	startTLS bool
	user     string // a login is needed when set
	pass     string
	replies  map[string]string // a verb's reply in place of success; END is that after the data
	hangUpAt string            // the verb at which the connection is closed

	listener net.Listener
	tls      *tls.Config
	wg       sync.WaitGroup
	mu       sync.Mutex
	mails    []received
}

type received struct {
	envelope  []string // sender, then recipients
	data      string
	encrypted bool
	user      string
}

func serve(t *testing.T, edit func(*server)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), listener: l}
	s.certificate(t)
	if edit != nil {
		edit(s)
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.talk(c) })
		}
	}()
	t.Cleanup(s.stop)
	return s
}

func (s *server) stop() {
	_ = s.listener.Close()
	s.wg.Wait()
}

func (s *server) received() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

func (s *server) certificate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(parsed)
	s.tls = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
}

// talk serves one connection.
func (s *server) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(c)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(c, format+"\r\n", args...) }
	var m received
	user := ""
	say("220 test ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if verb == s.hangUpAt {
			return
		}
		if reply := s.replies[verb]; reply != "" {
			say("%s", reply)
			continue
		}
		switch verb {
		case "EHLO", "HELO":
			say("250-test")
			if s.startTLS && !m.encrypted {
				say("250-STARTTLS")
			}
			if s.user != "" {
				say("250-AUTH PLAIN")
			}
			say("250-ENHANCEDSTATUSCODES")
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go ahead")
			t := tls.Server(c, s.tls)
			if t.Handshake() != nil {
				return
			}
			c, in, m.encrypted = t, bufio.NewReader(t), true
		case "AUTH":
			want := base64.StdEncoding.EncodeToString([]byte("\x00" + s.user + "\x00" + s.pass))
			if rest != "PLAIN "+want {
				say("535 5.7.8 wrong credentials")
				continue
			}
			user = s.user
			say("235 2.7.0 welcome")
		case "MAIL":
			if s.user != "" && user == "" {
				say("530 5.7.0 log in first")
				continue
			}
			m.envelope = []string{address(rest)}
			say("250 2.1.0 ok")
		case "RCPT":
			m.envelope = append(m.envelope, address(rest))
			say("250 2.1.5 ok")
		case "DATA":
			say("354 go on")
			if m.data, err = data(in); err != nil || s.hangUpAt == "END" {
				return
			}
			if reply := s.replies["END"]; reply != "" {
				say("%s", reply)
				continue
			}
			m.user = user
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			say("250 2.0.0 accepted")
		case "QUIT":
			say("221 2.0.0 bye")
			return
		case "RSET", "NOOP":
			say("250 2.0.0 ok")
		default:
			say("502 5.5.1 what is %s", verb)
		}
	}
}

func address(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

// data reads up to the lone dot and takes the dot stuffing out.
func data(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" {
			return b.String(), nil
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}
