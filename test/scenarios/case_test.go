package scenarios_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/client"
)

// intrusion is the i-th GuardDuty finding about an instance, as EventBridge hands it to
// a queue.
func intrusion(i int, instance, account, region string) string {
	return fmt.Sprintf(`{"version":"0","id":"g-%[1]d-%[2]s","detail-type":"GuardDuty Finding","source":"aws.guardduty","account":"%[3]s","time":"2026-03-04T10:00:05Z","region":"%[4]s","resources":[],
	"detail":{"schemaVersion":"2.0","accountId":"%[3]s","region":"%[4]s","partition":"aws","id":"%[2]s-%[1]d","arn":"arn:aws:guardduty:%[4]s:%[3]s:detector/d1/finding/%[2]s-%[1]d","type":"Backdoor:EC2/C&CActivity.B",
	"resource":{"resourceType":"Instance","instanceDetails":{"instanceId":"%[2]s","instanceType":"t3.micro"}},"service":{"serviceName":"guardduty","detectorId":"d1","archived":false,"count":1,"eventFirstSeen":"2026-03-04T09:00:00Z","eventLastSeen":"2026-03-04T10:00:00Z"},
	"severity":8,"title":"The instance talks to a command server","description":"d","createdAt":"2026-03-04T10:00:00Z","updatedAt":"2026-03-04T10:00:00Z"}}`, i, instance, account, region)
}

// TestCasesSurviveKills: GuardDuty's findings about two instances come through a queue
// while the server is killed again and again. There is one case for each instance by the
// rule of parry.yaml and one for both by the rule of the API, every finding is once on
// each timeline, and each case was told of on the bus.
func TestCasesSurviveKills(t *testing.T) {
	t.Parallel()
	w := earth(t)
	for name, edits := range map[string]func(t *testing.T) []func(document){
		"SQLite":     func(*testing.T) []func(document) { return nil },
		"PostgreSQL": func(t *testing.T) []func(document) { return []func(document){w.onPostgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.caseUnderKills(t, "cases-"+name, edits(t)...)
		})
	}
}

func (w *world) caseUnderKills(t *testing.T, name string, edits ...func(document)) {
	t.Helper()
	const each, kills = 15, 6
	account, region := w.env.Estate.Members["dev"].Account, w.env.Estate.Region
	q, hook := w.queue(t, name), newShopHook(t)
	edits = append(edits, func(cfg document) {
		cfg["sources"] = document{"queues": []document{{"name": "guardduty", "url": q.url, "region": region, "accounts": []string{account}, "products": []string{"aws/guardduty"}, "events": true}}}
		cfg["cases"] = []document{{"name": "intrusion", "title": "Intrusion", "group_by": []string{"type"}}}
		cfg["bus_rules"] = []document{{"name": "detective", "cases": []string{"new"}, "pattern": document{"source": []string{"aws.securityhub"}}}}
		channels, _ := cfg["channels"].([]document)
		cfg["channels"] = append(channels, document{"name": "one", "kind": "webhook", "url": hook.url, "secret_env": "HOOK_KEY"})
	})
	i := w.install(t, edits...)
	i.environ = append(i.environ, "HOOK_KEY=0123456789abcdef0123456789abcdef")
	n := i.serve(t)
	arn := "arn:aws:parry:" + region + ":" + w.env.Estate.Security.Account + ":"
	for _, step := range []struct {
		operation string
		in        document
	}{
		{"PutRule", document{"Name": "intrusions", "EventPattern": `{"source":["aws.securityhub"],"detail":{"findings":{"ProductArn":[{"suffix":"product/aws/guardduty"}]}}}`}},
		{"PutTargets", document{"Rule": "intrusions", "Targets": []document{{"Id": "case", "Arn": arn + "case/intrusion"}}}},
		{"PutRule", document{"Name": "told", "EventPattern": `{"source":["aws.security-ir"],"detail-type":["Case Created"]}`}},
		{"PutTargets", document{"Rule": "told", "Targets": []document{{"Id": "hook", "Arn": arn + "webhook/one"}}}},
	} {
		out, err := n.bus(t.Context(), step.operation, step.in)
		if failed, _ := out["FailedEntryCount"].(float64); err != nil || failed > 0 {
			t.Fatalf("%s: %v %v", step.operation, out, err)
		}
	}
	random := rand.New(rand.NewPCG(3, 3))
	next := 0
	for range kills {
		for range 2 * each / kills {
			q.send(t, intrusion(next/2, []string{"i-0a", "i-0b"}[next%2], account, region))
			next++
		}
		time.Sleep(time.Duration(random.IntN(700)) * time.Millisecond)
		n.kill()
		n.start()
	}
	cases := func(ctx context.Context) (got []string) {
		page, err := n.as("olga").Cases(ctx, "open", "", client.Paging{Limit: 100})
		if err != nil {
			return []string{err.Error()}
		}
		for _, c := range page.Items {
			got = append(got, fmt.Sprintf("%s: %d events, %d findings, %d resources, %s, of %v by %s", c.Template, c.Events, len(c.Findings), len(c.Resources), c.Severity, c.Accounts, c.CreatedBy))
		}
		slices.Sort(got)
		return got
	}
	of := fmt.Sprint([]string{account})
	want := []string{
		fmt.Sprintf("intrusion: %d events, %d findings, 2 resources, HIGH, of %s by rule/default/intrusions", 2*each, 2*each, of),
		fmt.Sprintf("new: %d events, %d findings, 1 resources, HIGH, of %s by rule/detective", each, each, of),
		fmt.Sprintf("new: %d events, %d findings, 1 resources, HIGH, of %s by rule/detective", each, each, of),
	}
	var got []string
	poll(t, 3*patience, func() string { return fmt.Sprintf("cases %q, want %q; left in the queue %s", got, want, q.left(t)) }, func(ctx context.Context) bool {
		got = cases(ctx)
		return slices.Equal(got, want)
	})
	n.eachOnce(t)
	poll(t, patience, func() string { return fmt.Sprintf("told of %d cases", len(hook.ids())) }, func(context.Context) bool { return len(hook.ids()) == 3 })
}

func (r *shopHook) ids() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.took {
		out = append(out, id)
	}
	return out
}

// eachOnce holds the timelines to what the cases say, works on one and closes it; what
// comes afterwards would open another.
func (n *node) eachOnce(t *testing.T) {
	t.Helper()
	ctx, olga := t.Context(), n.as("olga")
	page, err := olga.Cases(ctx, "", "", client.Paging{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range page.Items {
		seen := map[string]int{}
		p := client.Paging{Limit: 7}
		for at := 0; at == 0 || p.Cursor != ""; at++ {
			entries, err := olga.CaseTimeline(ctx, c.ID, p)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries.Items {
				seen[e.Finding.Key]++
			}
			p.Cursor = entries.Next
		}
		for key, times := range seen {
			if times != 1 {
				t.Errorf("case %s tells finding %s %d times", c.ID, key, times)
			}
		}
		if int64(len(seen)) != c.Events {
			t.Errorf("case %s tells of %d findings, and counts %d", c.ID, len(seen), c.Events)
		}
	}
	first := page.Items[0].ID
	var closed api.Case
	if _, err = olga.NoteCase(ctx, first, "isolated"); err == nil {
		if _, err = olga.MoveCase(ctx, first, casefile.Containment, "cut off"); err == nil {
			closed, err = olga.CloseCase(ctx, first, casefile.Completed, "")
		}
	}
	if err != nil || closed.ClosureCode != casefile.Completed || closed.Entries != closed.Events+3 {
		t.Errorf("%+v, %v", closed, err)
	}
}
