// Package awsfront is the one port on which Parry answers: AWS's APIs of the
// services that it stands in for, and Parry's own REST API, told apart by the
// service for which the request is signed.
//
// It verifies the signature (sigv4), lets a request that changes something
// through once, and hands it on with the principal in the context. It decides
// nothing else: each service checks what its caller may do and words its own
// errors, in the protocol that its clients speak.
package awsfront
