package organization_test

import (
	"encoding/json"
	"testing"

	"github.com/parry-security/parry/internal/ingest/organization"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store/storetest"
)

// FuzzNotice hears any text as an event: nothing that it says is taken over, so the
// organization that is known stays as it is.
func FuzzNotice(f *testing.F) {
	f.Add(event(management, "CreateAccount"))
	f.Add(event(dev, "TagResource", "readOnly=true"))
	f.Add([]byte(`{"account":"` + management + `","detail":{"eventSource":"organizations.amazonaws.com","requestParameters":{"resourceId":"222222222222"}}}`))
	f.Add([]byte(`{"account":7,"detail":"organizations.amazonaws.com"}`))
	f.Add([]byte(`organizations.amazonaws.com`))
	live := org.NewLive(orgAccounts())
	cfg := organization.Config{
		Organization: org.Organization{Partition: "aws", HomeRegion: region, ManagementAccount: management, HubAccount: "555566667777", MemberRole: "ParryMemberRole", Sync: org.Sync{Enabled: true}},
		Live:         live, Store: storetest.SQLite(f), Caller: newAWS(), Reach: newAWS().Reach, Regions: []string{region}, Feeds: func() []org.Feed { return nil },
		Owner: "node", Clock: service.NewFixedClock(storetest.Start()),
	}
	follower, err := organization.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	before, err := json.Marshal(live.Accounts())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		follower.Notice(raw)
		if after, err := json.Marshal(live.Accounts()); err != nil || string(after) != string(before) {
			t.Errorf("the accounts became %s, %v", after, err)
		}
	})
}

func orgAccounts() []org.Account {
	return []org.Account{{ID: management, Name: "management"}, {ID: dev, Name: "dev", Unit: "dev"}}
}
