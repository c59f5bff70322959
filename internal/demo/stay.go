package demo

import (
	"context"
	"fmt"
)

// stay leaves the server up and says how to talk to it.
func (s *story) stay(ctx context.Context) {
	alice, olga := s.keys["alice"], s.keys["olga"]
	s.Progress.Text(fmt.Sprintf(`Parry stays up at %s until you press Ctrl-C. In another terminal:

  export PARRY_ENDPOINT=%s
  export PARRY_ACCESS_KEY_ID=%s PARRY_SECRET_ACCESS_KEY=%s   # olga, operator
  %s remediation list
  %s finding list --sort priority
  %s finding remediate '%s'

As alice, who approves: PARRY_ACCESS_KEY_ID=%s PARRY_SECRET_ACCESS_KEY=%s
  %s approval list

AWS as Parry sees it: export AWS_ENDPOINT_URL=%s
`, s.endpoint, s.endpoint, olga.ID, olga.Secret, s.Program, s.Program, s.Program, s.findings[publicBucket].ID, alice.ID, alice.Secret, s.Program, s.env.WallURL))
	<-ctx.Done()
}
