package config

import (
	"net/url"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// Invitations say how people come by the link where they choose a password.
type Invitations struct {
	// URL is where people open the console. A link that is mailed is never made of what a
	// request says about its host.
	URL string `yaml:"url"`
	// Channel is the e-mail channel whose server sends them; none: they are handed over.
	Channel string `yaml:"channel"`
}

// ConsoleURL is URL without a slash at its end.
func (i Invitations) ConsoleURL() string { return strings.TrimSuffix(i.URL, "/") }

func (c *Config) validateInvitations() error {
	i := c.Invitations
	if i.URL != "" {
		u, err := url.Parse(i.URL)
		switch {
		case err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(i.URL, "?#"):
			return fault.Errorf(fault.Invalid, validate, "invitations.url %q is not the address of a server", i.URL).WithHint("write it as https://parry.example.com")
		case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
			return fault.Errorf(fault.Invalid, validate, "invitations.url %q would send passwords in the clear", i.URL).WithHint("begin it with https://; http:// is for loopback alone")
		}
	}
	if i.Channel == "" {
		return nil
	}
	if i.URL == "" {
		return fault.Errorf(fault.Invalid, validate, "invitations.channel needs invitations.url").WithHint("set invitations.url to where people open the console, such as https://parry.example.com")
	}
	for _, o := range c.Channels {
		if o.Name == i.Channel && o.Kind == "email" {
			return nil
		}
	}
	return fault.Errorf(fault.Invalid, validate, "invitations.channel %q is no channel of kind email", i.Channel).WithHint("name one of channels, see docs/configuration.md")
}
