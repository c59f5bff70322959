// Package sns publishes notifications to an Amazon SNS topic. The call itself is
// the gate's own traffic, granted for the topics of the configuration.
package sns
