package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
)

// checkDataDir makes and removes a file where the data is, or where it would be, and
// looks at who may open what is there.
func checkDataDir(dir string) check {
	c := check{Name: "data directory", Status: checkOK, Detail: dir + " can be written"}
	at := dir
	info, err := os.Stat(at)
	if errors.Is(err, fs.ErrNotExist) {
		at = filepath.Dir(filepath.Clean(dir))
		c.Detail = dir + " does not exist yet and can be made"
		info, err = os.Stat(at)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", at)
	}
	if err == nil {
		err = tryWrite(at)
	}
	if err != nil {
		return check{Name: c.Name, Status: checkFailing, Detail: err.Error(), Next: "set data_dir or PARRY_DATA_DIR to a directory that this user may write"}
	}
	if at != dir {
		return c
	}
	if info.Mode().Perm()&0o077 != 0 {
		c.Status, c.Detail, c.Next = checkWarning, fmt.Sprintf("%s may be opened by others (mode %04o)", dir, info.Mode().Perm()), "chmod 700 "+dir
	}
	key := filepath.Join(dir, "data.key")
	if k, err := os.Stat(key); err == nil && k.Mode().Perm()&0o077 != 0 {
		return check{
			Name: c.Name, Status: checkFailing, Detail: fmt.Sprintf("%s may be opened by others (mode %04o): whoever reads it opens every secret in the database", key, k.Mode().Perm()),
			Next: "chmod 600 " + key,
		}
	}
	return c
}

func tryWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".parry-doctor-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkLock says whether a server uses the data directory now.
func checkLock(cfg config.Config) check {
	c := check{Name: "data lock", Status: checkOK, Detail: "no server uses " + cfg.DataDir}
	used, err := app.DirInUse(cfg.DataDir)
	switch {
	case err != nil:
		return check{Name: c.Name, Status: checkFailing, Detail: err.Error(), Next: "run doctor as the user of the server, or give the files in " + cfg.DataDir + " to this one"}
	case used:
		c.Detail = "a server uses " + cfg.DataDir + "; a second one is refused there"
	}
	return c
}

// The free space below which the disk is worth a word, and below which it fails.
const (
	littleSpace = 2 << 30
	noSpace     = 256 << 20
)

// checkDisk looks at the space where the data is.
func checkDisk(dir string) check {
	at := dir
	if _, err := os.Stat(at); err != nil {
		at = filepath.Dir(filepath.Clean(dir))
	}
	free, total, known := freeSpace(at)
	if !known {
		return check{Name: "disk", Status: checkOK, Detail: "the free space is not known on this system"}
	}
	return judgeDisk(at, free, total)
}

func judgeDisk(at string, free, total uint64) check {
	c := check{Name: "disk", Status: checkOK, Detail: fmt.Sprintf("%s of %s are free at %s", sizeText(free), sizeText(total), at)}
	switch {
	case free < noSpace:
		c.Status, c.Next = checkFailing, "make room, or move data_dir to a larger disk: a full one stops every change and every finding"
	case free < littleSpace:
		c.Status, c.Next = checkWarning, "make room, or shorten retention in parry.yaml: a million findings take about 6 GB"
	}
	return c
}

func sizeText(n uint64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.0f MB", float64(n)/(1<<20))
}

// databaseLimit is how long looking at the database may take.
const databaseLimit = 20 * time.Second

// checkDatabase reads the version of the database, and whether its key is there.
func checkDatabase(ctx context.Context, cfg config.Config) check {
	kind := "SQLite in " + cfg.DataDir
	if cfg.Database != "" {
		kind = "PostgreSQL"
	}
	ctx, cancel := context.WithTimeout(ctx, databaseLimit)
	defer cancel()
	schemas, err := app.SchemaState(ctx, cfg)
	if err != nil {
		c := failing("database", err)
		if c.Next == "" {
			c.Next = "check database and data_dir in parry.yaml, and that the database server is up"
		}
		return c
	}
	return judgeDatabase(kind, schemas, app.LookAtKey(cfg), cfg.DataDir)
}

func judgeDatabase(kind string, schemas []app.Schema, key error, dir string) check {
	c := check{Name: "database", Status: checkOK}
	var versions []string
	empty, older := true, false
	for _, s := range schemas {
		versions = append(versions, fmt.Sprintf("%s %d", s.File, s.From))
		empty = empty && s.From == 0
		older = older || s.Pending()
	}
	switch c.Detail = kind + ": schema " + strings.Join(versions, ", "); {
	case empty:
		c.Detail = kind + " is empty; the first parry serve makes the tables"
	case key != nil:
		c.Status, c.Detail, c.Next = checkFailing, c.Detail+"; "+key.Error(), fault.HintOf(key)
		if c.Next == "" {
			c.Next = "put the data.key of this installation into " + dir + ": without it nothing sealed in the database opens"
		}
	case older:
		c.Status, c.Next = checkWarning, "the next parry serve brings it to the schema of this program; before that: parry db backup FILE"
	}
	return c
}

// checkMail connects to the mail server of a channel and sends nothing.
func checkMail(ctx context.Context, getenv func(string) string, ch config.Channel) check {
	c := check{Name: "mail " + ch.Name, Status: checkOK}
	if ch.Password != "" && getenv(ch.Password) == "" {
		return check{Name: c.Name, Status: checkFailing, Detail: "the environment variable " + ch.Password + " of its password is empty", Next: "set it in the environment of the server, and for doctor"}
	}
	ctx, cancel := context.WithTimeout(ctx, credentialLimit)
	defer cancel()
	if err := app.CheckMail(ctx, ch); err != nil {
		f := failing(c.Name, err)
		if f.Next == "" {
			f.Next = "check smtp of the channel in parry.yaml, and that this machine may reach it"
		}
		return f
	}
	c.Detail = ch.SMTP + " answers"
	if ch.Username != "" {
		c.Detail += " and takes the login"
	}
	switch ch.TLS {
	case "", "required", "implicit":
		c.Detail += ", over TLS"
	default:
		c.Detail += ", tls: " + ch.TLS
		if host, _, _ := strings.Cut(ch.SMTP, ":"); host != "localhost" && !strings.HasPrefix(host, "127.") {
			c.Status, c.Next = checkWarning, "set tls: required, so that nobody on the way reads the mails"
		}
	}
	c.Detail += "; to see a message arrive: parry notify test " + ch.Name
	return c
}
