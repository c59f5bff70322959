package organization_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/ingest/organization"
	"github.com/parry-security/parry/internal/org"
)

// TestCoverageIsLostAndRestored: once each, by what STS says of the role.
func TestCoverageIsLostAndRestored(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.aws.refuse[prod] = forbidden("User: arn:aws:iam::555566667777:user/parry is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/ParryMemberRole")
	w.synced()
	same(t, "at first", []string{dev + " covered ok", prod + " never role", management + " covered ok"}, w.covered())
	same(t, "what never was is not lost", []string{}, w.told())
	delete(w.aws.refuse, prod)
	w.synced()
	same(t, "entered", []string{dev + " covered ok", prod + " covered ok", management + " covered ok"}, w.covered())
	same(t, "what never was is not restored", []string{}, w.told())

	w.aws.refuse[prod] = forbidden("... is not authorized to perform: sts:AssumeRole on resource: ... with an explicit deny in a service control policy")
	w.synced()
	same(t, "lost", prod+" lost policy", w.covered()[1])
	same(t, "lost", []string{"Parry Coverage Lost " + prod}, w.told())
	w.aws.refuse[prod] = forbidden("... because no identity-based policy allows the sts:AssumeRole action")
	w.synced()
	same(t, "for another reason", prod+" lost own_permission", w.covered()[1])
	same(t, "told once", []string{}, w.told())
	since := w.since(prod)
	delete(w.aws.refuse, prod)
	w.synced()
	same(t, "restored", []string{"Parry Coverage Restored " + prod}, w.told())
	if !w.since(prod).After(since) {
		t.Errorf("since %s", w.since(prod))
	}
}

func (w *watch) since(account string) time.Time {
	w.t.Helper()
	all, err := w.store.CoverageOf(w.t.Context(), []string{account})
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%v %v", all, err)
	}
	return all[0].Since
}

// TestNoAnswerConcludesNothing: a network that is gone, or a throttle, loses nothing.
func TestNoAnswerConcludesNothing(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.aws.refuse[prod] = &apimodel.APIError{Code: "Throttling", HTTPStatus: 400, Throttled: true}
	w.synced()
	same(t, "at first", prod+" never unknown", w.covered()[1])
	delete(w.aws.refuse, prod)
	w.synced()
	for _, err := range []error{
		&apimodel.APIError{Code: "Throttling", HTTPStatus: 400, Throttled: true}, &apimodel.APIError{Code: "ServiceUnavailable", HTTPStatus: http.StatusServiceUnavailable}, fmt.Errorf("dial tcp: refused"),
	} {
		w.aws.refuse[prod] = err
		w.synced()
		same(t, err.Error(), prod+" covered ok", w.covered()[1])
	}
	same(t, "events", []string{}, w.told())
}

// TestAnAccountThatIsSuspendedIsNotEntered, nor the management account; one that left
// is forgotten.
func TestAnAccountThatIsSuspendedIsNotEntered(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.aws.refuse[management] = forbidden("nobody enters")
	w.synced()
	w.aws.state[prod] = "SUSPENDED"
	w.aws.refuse[prod] = fmt.Errorf("it was tried")
	w.synced()
	same(t, "suspended", []string{dev + " covered ok", prod + " lost account_state", management + " covered ok"}, w.covered())
	counts, err := w.store.CoverageCounts(t.Context(), []string{"*"})
	same(t, "counted apart", map[string]int64{"covered": 2, "idle": 1}, counts)
	if err != nil {
		t.Error(err)
	}
	w.aws.move(prod, "")
	w.synced()
	same(t, "left", []string{dev + " covered ok", management + " covered ok"}, w.covered())
}

// TestASourceThatFailsOrIsSilentDegrades: a hub has something every day, a queue may
// have nothing for weeks.
func TestASourceThatFailsOrIsSilentDegrades(t *testing.T) {
	t.Parallel()
	w := begin(t)
	all := func(string) bool { return true }
	w.feeds = []org.Feed{
		{Name: "events", Covers: all},
		{Name: "hub", Covers: func(a string) bool { return a == dev }, Regions: []string{region}, Silence: 72 * time.Hour},
		{Name: "elsewhere", Covers: all, Regions: []string{"us-east-1"}, Silence: time.Hour},
	}
	w.synced()
	w.clock.Advance(71 * time.Hour)
	w.synced()
	same(t, "not long enough", dev+" covered ok", w.covered()[0])
	w.clock.Advance(2 * time.Hour)
	w.synced()
	same(t, "silent", []string{dev + " degraded silent", prod + " covered ok", management + " covered ok"}, w.covered())
	w.Seen("hub", dev, region)
	w.Seen("hub", "999999999999", region) // nobody knows it
	w.Seen("hub", dev, "us-east-1")       // not asked after
	w.synced()
	same(t, "it brings something", dev+" covered ok", w.covered()[0])
	seen, err := w.store.Sightings(t.Context(), "")
	if err != nil || len(seen) != 1 || seen[0].Account != dev {
		t.Errorf("%v %v", seen, err)
	}
	w.feeds[0].Problem = "access denied"
	w.synced()
	same(t, "fails", []string{dev + " degraded source", prod + " degraded source", management + " degraded source"}, w.covered())
	same(t, "what is degraded is not lost", []string{}, w.told())
}

// TestCoverageWithoutSync: of the accounts that are listed, where it is asked for.
func TestCoverageWithoutSync(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *organization.Config) {
		c.Organization.Sync.Enabled, c.Organization.Accounts = false, []org.Account{{ID: dev}, {ID: prod}}
		c.Organization.Coverage.Every = time.Hour
		c.Live.Set(org.Merge(c.Organization.Accounts, nil))
	})
	w.synced()
	same(t, "coverage", []string{dev + " covered ok", prod + " covered ok"}, w.covered())
	if w.aws.calls != 0 {
		t.Errorf("%d calls of Organizations", w.aws.calls)
	}
	quiet := begin(t, func(c *organization.Config) {
		c.Organization.Sync.Enabled = false
		c.Live.Set([]org.Account{{ID: dev}})
	})
	quiet.synced()
	same(t, "without both", []string{}, quiet.covered())
}

// TestARegionThatIsOff is no coverage, lost or other; asked once an hour, in the accounts
// that are entered, where one is to be covered that may be off.
func TestARegionThatIsOff(t *testing.T) {
	t.Parallel()
	w := begin(t, func(c *organization.Config) { c.Regions = []string{optIn, region} })
	w.aws.on[prod] = map[string]bool{region: true, optIn: true}
	w.synced()
	same(t, "at first", []string{
		dev + " off region_off", dev + " covered ok", prod + " covered ok", prod + " covered ok", management + " covered ok", management + " covered ok",
	}, w.covered())
	same(t, "asked", 2, w.aws.byName["DescribeRegions"])
	counts, err := w.store.CoverageCounts(t.Context(), []string{"*"})
	same(t, "counted apart", map[string]int64{"covered": 5, "off": 1}, counts)
	if err != nil {
		t.Error(err)
	}
	w.aws.on[prod][optIn] = false
	w.aws.mute[dev] = &apimodel.APIError{Code: "Throttling", HTTPStatus: 400, Throttled: true}
	w.synced()
	same(t, "turned off, and no answer", []string{dev + " off region_off", prod + " off region_off"}, []string{w.covered()[0], w.covered()[2]})
	w.aws.mute[prod] = &apimodel.APIError{Code: "UnauthorizedOperation", HTTPStatus: 403, Message: "no identity-based policy allows the ec2:DescribeRegions action"}
	w.synced()
	same(t, "it may not be asked", []string{prod + " degraded regions", prod + " covered ok"}, w.covered()[2:4])
	same(t, "nothing is lost by it", []string{}, w.told())
	w.aws.refuse[prod] = forbidden("gone")
	w.synced()
	same(t, "the role is gone", []string{prod + " lost role", prod + " lost role"}, w.covered()[2:4])

	quiet := begin(t)
	quiet.synced()
	same(t, "where all are on everywhere", 0, quiet.aws.byName["DescribeRegions"])
}
