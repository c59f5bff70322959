package cli

import (
	"bytes"
	_ "embed" // the template is a text that people read
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

//go:embed init.yaml.tmpl
var initTemplate string

const (
	maxInitAccounts = 1000 // that a file for people lists
	maxAccountName  = 50   // as in AWS Organizations
	maxUnit         = 1024
	maxExternalID   = 1224 // as sts:AssumeRole
)

// externalID is what STS takes, with 2 to maxExternalID characters.
var externalID = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]{2,}$`)

// initSettings is what parry init puts into the file.
type initSettings struct {
	hub, management, region, role, externalID, database string

	sync     bool
	accounts []org.Account
}

// scalar is text that appears in YAML. Invariant: however it is printed it is
// quoted, so that a template cannot write it raw. Go's quoting of valid UTF-8 is
// YAML's too: the same escapes mean the same.
type scalar string

func (s scalar) String() string { return strconv.Quote(string(s)) }

type initAccount struct{ ID, Name, Unit scalar }

type initControl struct{ ID, Suffix scalar }

type initPlaybook struct {
	ID, Rule scalar
	Title    string // of the catalog, which ships with the binary
	Controls []initControl
}

// initValues are the members of the template.
type initValues struct {
	Hub, Management, Partition, Region, Role, ExternalID, Database, QueueURL, Example scalar
	// PartitionWord stands within an ARN: it is a name of apimodel, never text from outside.
	PartitionWord string
	Sync          bool
	Accounts      []initAccount
	Playbooks     []initPlaybook
}

// partition is that of the home region.
func (i initSettings) partition() string { return apimodel.Partition(i.region) }

// check holds every setting to the rules of where it is used.
func (i initSettings) check() error {
	if !apimodel.HasRegion(i.partition(), i.region) {
		return fault.Errorf(fault.Invalid, "", "--home-region %.80q is not a Region of AWS, such as eu-west-1", i.region)
	}
	if !externalID.MatchString(i.externalID) || len(i.externalID) > maxExternalID {
		return fault.Errorf(fault.Invalid, "", "--external-id is not 2 to 1224 letters, digits and characters of _+=,.@:/-")
	}
	if i.sync && i.management == "" {
		return fault.Errorf(fault.Invalid, "", "--organization on needs the management account").
			WithHint("add --management-account ID, or --discover where AWS Organizations can be read")
	}
	if len(i.accounts) > maxInitAccounts {
		return fault.Errorf(fault.Invalid, "", "%d accounts are too many for a file, the limit is %d", len(i.accounts), maxInitAccounts).
			WithHint("follow AWS Organizations instead: add --organization on")
	}
	for _, a := range i.accounts {
		if err := checkInitAccount(a); err != nil {
			return err
		}
	}
	if i.database != "" {
		if err := checkDatabaseURL(i.database); err != nil {
			return err
		}
	}
	return org.Organization{
		Partition: i.partition(), ManagementAccount: i.management, HubAccount: i.hub, HomeRegion: i.region, MemberRole: i.role,
		ExternalID: i.externalID, Accounts: i.accounts, Sync: org.Sync{Enabled: i.sync},
	}.Validate()
}

func checkInitAccount(a org.Account) error {
	switch {
	case !isAccount(a.ID):
		return fault.Errorf(fault.Invalid, "", "--account %.80q: that is not a 12-digit account id", a.ID)
	case !plainText(a.Name, maxAccountName):
		return fault.Errorf(fault.Invalid, "", "--account %s: the name is not 1 to %d characters without control characters", a.ID, maxAccountName)
	case a.Unit == "" || a.Unit == org.Root:
		return nil
	case !plainText(a.Unit, maxUnit) || strings.ContainsAny(a.Unit, "=") || strings.Contains("/"+a.Unit+"/", "//"):
		return fault.Errorf(fault.Invalid, "", "--account %s: unit %.80q is not the path of a unit, such as prod/payments", a.ID, a.Unit)
	}
	return nil
}

// plainText reports whether s has at most limit characters and none that steers a
// terminal.
func plainText(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit && !strings.ContainsFunc(s, steers)
}

// checkDatabaseURL refuses what is no PostgreSQL URL, and passwords: the file holds no
// secret. The value is not shown, it may be one.
func checkDatabaseURL(value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil || !plainText(value, 1024) || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "" && u.Query().Get("host") == "":
		return fault.Errorf(fault.Invalid, "", "--postgres is not a URL such as postgres://parry@db.example.com/parry?sslmode=verify-full")
	case passwordIn(u):
		return fault.Errorf(fault.Invalid, "", "--postgres holds a password, which would be in the file").
			WithHint("leave it out, and use .pgpass, or set PARRY_DATABASE for the server")
	}
	return nil
}

func passwordIn(u *url.URL) bool {
	_, in := u.User.Password()
	return in || u.Query().Has("password") || u.Query().Has("sslpassword")
}

// render writes the file, and reads it as the server will.
func (i initSettings) render() ([]byte, error) {
	const op = "write configuration"
	content, err := app.LoadContent(catalog.FS)
	if err != nil {
		return nil, err
	}
	v := initValues{
		Hub: scalar(i.hub), Management: scalar(i.management), Partition: scalar(i.partition()), PartitionWord: i.partition(), Region: scalar(i.region),
		Role: scalar(i.role), ExternalID: scalar(i.externalID), Database: scalar(i.database), Sync: i.sync,
		QueueURL: scalar("https://sqs." + i.region + ".amazonaws.com/" + i.hub + "/parry-findings"),
	}
	if i.partition() == "aws-cn" {
		v.QueueURL = scalar("https://sqs." + i.region + ".amazonaws.com.cn/" + i.hub + "/parry-findings")
	}
	for _, a := range i.accounts {
		v.Accounts = append(v.Accounts, initAccount{scalar(a.ID), scalar(a.Name), scalar(a.Unit)})
	}
	for _, pb := range content.Playbooks() {
		p := initPlaybook{ID: scalar(pb.ID), Rule: scalar("plan-" + pb.ID), Title: pb.ID + ": " + strings.Join(strings.Fields(pb.Title), " ")}
		for _, c := range pb.Controls {
			p.Controls = append(p.Controls, initControl{scalar(c), scalar("/" + c)})
		}
		v.Playbooks, v.Example = append(v.Playbooks, p), p.ID
	}
	t, err := template.New("parry.yaml").Option("missingkey=error").Parse(initTemplate)
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	cfg, err := config.Parse(out.Bytes())
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	return out.Bytes(), nil
}
