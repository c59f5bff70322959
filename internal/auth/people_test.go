package auth_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const password = "correct horse battery staple"

// cheap keeps the tests fast; the rules are the same at any cost.
func cheap() auth.Cost { return auth.Cost{Memory: 64, Passes: 1, Threads: 1} }

// house is people, sessions and tries in memory.
type house struct {
	mu       sync.Mutex
	people   map[string]store.Person
	sessions map[string]store.Session
	tries    map[string]int64
	audit    []store.AuditRecord
	noted    int
	clock    *service.FixedClock
}

func (h *house) Person(_ context.Context, name string) (store.Person, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, ok := h.people[name]; ok {
		return p, nil
	}
	return store.Person{}, fault.E(fault.NotFound, "read person", store.ErrNotFound)
}

func (h *house) Session(_ context.Context, digest []byte) (store.Session, store.Person, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok := h.sessions[string(digest)]; ok {
		return s, h.people[s.Name], nil
	}
	return store.Session{}, store.Person{}, fault.E(fault.NotFound, "read session", store.ErrNotFound)
}

func (h *house) PutSession(_ context.Context, digest []byte, s store.Session, _ int64, eff store.Effects) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions[string(digest)], h.audit = s, append(h.audit, eff.Audit...)
	return nil
}

func (h *house) SeenSession(_ context.Context, digest []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[string(digest)]
	s.SeenAt = h.clock.Now()
	h.sessions[string(digest)] = s
	h.noted++
	return nil
}

func (h *house) EndSession(_ context.Context, digest []byte, eff store.Effects) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, string(digest))
	h.audit = append(h.audit, eff.Audit...)
	return nil
}

func (h *house) UpdatePerson(_ context.Context, p store.Person, signOut bool, eff store.Effects) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.people[p.Name].Rev != p.Rev {
		return fault.E(fault.Conflict, "update person", store.ErrConflict)
	}
	if signOut {
		maps.DeleteFunc(h.sessions, func(_ string, s store.Session) bool { return s.Name == p.Name })
	}
	p.Rev++
	h.people[p.Name], h.audit = p, append(h.audit, eff.Audit...)
	return nil
}

func (h *house) CountTries(_ context.Context, buckets [][]byte, _ time.Duration) ([]int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []int64
	for _, b := range buckets {
		h.tries[string(b)]++
		out = append(out, h.tries[string(b)])
	}
	return out, nil
}

func (h *house) ForgetTries(_ context.Context, buckets [][]byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range buckets {
		delete(h.tries, string(b))
	}
	return nil
}

func (h *house) Enqueue(_ context.Context, _ store.File, eff store.Effects) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.audit = append(h.audit, eff.Audit...)
	return nil
}

func (h *house) actions() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, a := range h.audit {
		out = append(out, a.Actor+" "+a.Action)
	}
	return strings.Join(out, ", ")
}

func newHouse(t *testing.T) (*house, *auth.People) {
	t.Helper()
	h := &house{people: map[string]store.Person{}, sessions: map[string]store.Session{}, tries: map[string]int64{}, clock: service.NewFixedClock(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))}
	for _, name := range []string{"ada", "bob"} {
		hash, err := auth.NewPassword(name, password, cheap(), nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := auth.NewPerson(name, "responder", []string{dev}, hash, h.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		h.people[name] = p
	}
	people, err := auth.NewPeople(auth.PeopleConfig{Persons: h, Sessions: h, Tries: h, Updater: h, Cost: cheap(), Clock: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	return h, people
}

func attempt(name, word string) auth.Attempt {
	return auth.Attempt{Name: name, Password: store.Secret(word), Address: "192.0.2.1", Agent: "browser"}
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	h, people := newHouse(t)
	ctx := t.Context()
	s, token, err := people.SignIn(ctx, attempt("ada", password))
	if err != nil || s.Name != "ada" || s.Role != "responder" || s.Session == "" || !s.May(auth.RemediationRequest) || s.May(auth.ApprovalDecide) || !s.Covers(dev) || s.Covers(prod) {
		t.Fatalf("%+v, %v", s, err)
	}
	who, err := people.Who(ctx, token)
	if err != nil || who.Name != "ada" {
		t.Fatal(who, err)
	}
	for name, wrong := range map[string]store.Secret{"none": "", "short": token[:20], "longer": token + "A", "other": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "the id": store.Secret(s.Session)} {
		if _, err := people.Who(ctx, wrong); !fault.Is(err, fault.NotFound) {
			t.Errorf("token %s: %v", name, err)
		}
	}
	for digest := range h.sessions {
		if strings.Contains(digest, token.Reveal()) {
			t.Error("the token is stored")
		}
	}
	if err := people.SignOut(ctx, token); err != nil {
		t.Fatal(err)
	}
	if _, err := people.Who(ctx, token); !fault.Is(err, fault.NotFound) {
		t.Errorf("after sign-out: %v", err)
	}
	if got := h.actions(); got != "ada session.started, ada session.ended" {
		t.Error(got)
	}
}

// TestNothingTellsWhatWasWrong: an unknown name, a wrong password and a disabled user
// have one answer, and no password or unknown name is written down anywhere.
func TestNothingTellsWhatWasWrong(t *testing.T) {
	t.Parallel()
	h, people := newHouse(t)
	disabled := h.people["bob"]
	disabled.DisabledAt = h.clock.Now()
	h.people["bob"] = disabled
	for _, c := range [][2]string{{"ada", "a wrong secret word"}, {"a wrong secret word", password}, {"bob", password}, {"ada", strings.Repeat("x", 4000)}, {"ada", "\x00\xff"}, {"", ""}} {
		_, token, err := people.SignIn(t.Context(), attempt(c[0], c[1]))
		if token != "" || err == nil || err.Error() != auth.ErrSignIn.Error() {
			t.Errorf("%q: %v", c[0], err)
		}
	}
	written := fmt.Sprintf("%v %s", h.audit, h.actions())
	for _, a := range h.audit {
		written += string(a.Detail)
	}
	if strings.Contains(written, "secret word") || strings.Contains(written, password) || !strings.Contains(written, "192.0.2.1") {
		t.Errorf("audited: %s", written)
	}
	if got := strings.Count(h.actions(), "session.refused"); got != 6 {
		t.Errorf("%d refusals are audited", got)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(h *house)
		good   bool
	}{
		"just in time":  {func(h *house) { h.clock.Advance(auth.Idle - time.Second) }, true},
		"idle":          {func(h *house) { h.clock.Advance(auth.Idle) }, false},
		"disabled":      {func(h *house) { p := h.people["ada"]; p.DisabledAt = h.clock.Now(); h.people["ada"] = p }, false},
		"a role of old": {func(h *house) { p := h.people["ada"]; p.Role = "operator"; h.people["ada"] = p }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, people := newHouse(t)
			_, token, err := people.SignIn(t.Context(), attempt("ada", password))
			if err != nil {
				t.Fatal(err)
			}
			c.change(h)
			who, err := people.Still(t.Context(), token)
			if c.good != (err == nil) || !c.good && !fault.Is(err, fault.NotFound) {
				t.Errorf("%v", err)
			}
			if name == "a role of old" && len(who.Allowed()) > 0 {
				t.Errorf("a role that people do not have may %v", who.Allowed())
			}
			if h.noted > 0 {
				t.Error("a look was taken for a use")
			}
		})
	}
	h, people := newHouse(t)
	_, token, err := people.SignIn(t.Context(), attempt("ada", password))
	for range 4 { // used all the time, it ends after a day all the same
		if err == nil {
			_, err = people.Who(t.Context(), token)
		}
		h.clock.Advance(6 * time.Hour)
	}
	if _, after := people.Who(t.Context(), token); err != nil || !fault.Is(after, fault.NotFound) {
		t.Errorf("%v, after a day %v", err, after)
	}
	restored, err := auth.NewPeople(auth.PeopleConfig{Persons: h, Sessions: h, Tries: h, Updater: h, Cost: cheap(), Clock: h.clock, NotBefore: h.clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err = restored.SignIn(t.Context(), attempt("ada", password))
	if _, after := restored.Who(t.Context(), token); err != nil || !fault.Is(after, fault.NotFound) {
		t.Errorf("a session of before the restore: %v, %v", err, after)
	}
}

// TestASessionIsNotFixed: whoever signs in gets a new token, and the one that the
// browser had is good for nothing any more.
func TestASessionIsNotFixed(t *testing.T) {
	t.Parallel()
	_, people := newHouse(t)
	_, first, err := people.SignIn(t.Context(), attempt("bob", password))
	if err != nil {
		t.Fatal(err)
	}
	again := attempt("ada", password)
	again.Token = first
	_, second, err := people.SignIn(t.Context(), again)
	if err != nil || second == first {
		t.Fatal(err)
	}
	if _, err := people.Who(t.Context(), first); !fault.Is(err, fault.NotFound) {
		t.Errorf("the session that the browser had: %v", err)
	}
}

func TestTriesAreLimited(t *testing.T) {
	t.Parallel()
	h, people := newHouse(t)
	guess := func(name, address, word string) error {
		a := attempt(name, word)
		a.Address = address
		_, _, err := people.SignIn(t.Context(), a)
		return err
	}
	for range 10 {
		if err := guess("ada", "192.0.2.1", "wrong"); !fault.Is(err, fault.Denied) {
			t.Fatal(err)
		}
	}
	if err := guess("ada", "192.0.2.1", password); !fault.Is(err, fault.Exhausted) || fault.HintOf(err) == "" {
		t.Errorf("the right password after too many wrong ones: %v", err)
	}
	if err := guess("ada", "192.0.2.2", password); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	// From everywhere together, and one network of IPv6 is one address.
	var last error
	for i := range 60 {
		last = guess("bob", fmt.Sprintf("198.51.100.%d", i), "wrong")
	}
	if !fault.Is(last, fault.Exhausted) {
		t.Errorf("one name from everywhere: %v", last)
	}
	for i := range 101 {
		last = guess(fmt.Sprintf("nobody-%d", i), fmt.Sprintf("2001:db8::%x", i+1), "wrong")
	}
	if !fault.Is(last, fault.Exhausted) {
		t.Errorf("all names from one network: %v", last)
	}
	if n := strings.Count(h.actions(), "session.refused"); n > 250 {
		t.Errorf("%d audit records: a guesser fills the log", n)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	for word, good := range map[string]bool{
		password: true, strings.Repeat("abcde", 25) + "abc": true, "päßwörter sind gut": true, "パスワードは長いほうがいいです": true,
		"": false, "short": false, "eleven char": false, strings.Repeat("abcde", 26): false, strings.Repeat("a", 20): false,
		"ada-lovelace1": false, "with a\nnew line in it": false, "broken \xff utf-8 text": false, "zero \x00 byte inside": false,
	} {
		hash, err := auth.NewPassword("ada-lovelace", store.Secret(word), cheap(), nil)
		if good != (err == nil) || err != nil && (!fault.Is(err, fault.Invalid) || fault.HintOf(err) == "") {
			t.Errorf("%q: %v", word, err)
		}
		if err != nil && len(word) > 10 && strings.Contains(err.Error(), word) {
			t.Errorf("the error shows the password: %v", err)
		}
		if good && !strings.HasPrefix(hash.Reveal(), "$argon2id$v=19$m=64,t=1,p=1$") {
			t.Errorf("hash %s", hash.Reveal())
		}
	}
	one, _ := auth.NewPassword("x", password, cheap(), nil)
	two, _ := auth.NewPassword("x", password, cheap(), nil)
	if one == two {
		t.Error("two hashes have one salt")
	}
	if c := auth.DefaultCost(); c.Memory < 19<<10 || c.Passes < 2 {
		t.Errorf("%+v is below what OWASP asks for", c)
	}
}

func TestNewPersonRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		name, role string
		accounts   []string
	}{
		"no name": {"", "viewer", []string{"*"}}, "upper case": {"Ada", "viewer", []string{"*"}}, "blank": {"a b", "viewer", []string{"*"}}, "newline": {"a\nb", "viewer", []string{"*"}},
		"long": {strings.Repeat("a", 65), "viewer", []string{"*"}}, "role of keys": {"ada", "operator", []string{"*"}}, "source": {"ada", "source", []string{"*"}}, "no role": {"ada", "", []string{"*"}},
		"no account": {"ada", "viewer", nil}, "account pattern": {"ada", "viewer", []string{"2222*"}},
	} {
		if _, err := auth.NewPerson(c.name, c.role, c.accounts, "h", time.Time{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, role := range auth.PersonRoles() {
		if _, err := auth.NewPerson("ada", role, []string{dev}, "h", time.Time{}); err != nil {
			t.Error(err)
		}
		if roles, err := auth.ParseRoles([]string{role}); err != nil || len(roles) != 1 || roles[0].Title() != role {
			t.Errorf("a key of role %s: %v, %v", role, roles, err)
		}
	}
}
