// Package slack posts notifications to an incoming webhook of Slack, laid out in blocks.
// The webhook's URL is a secret: no error and no log has it.
package slack
