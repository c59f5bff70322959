// Package email sends notifications by SMTP: plain text, encrypted unless the
// configuration says otherwise, with a Message-ID that is the same for every
// try of one notification.
package email
