package ssm

import "github.com/parry-security/parry/internal/awsfront/protocol"

// ErrorOf shows tests how an error is worded.
func ErrorOf(err error) *protocol.Error { return errorOf(err) }
