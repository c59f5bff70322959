// Package api is the REST API of what AWS has no API for: plans, approvals,
// undo, audit, the stop switch and keys. The command line and the console use
// it. Its contract is OpenAPI 3.1, generated from the code (OpenAPI).
//
// Requests are signed like requests to AWS, for the service "parry", and reach
// this package through awsfront, which puts the principal into the context. A
// request without one may do nothing but ask for health.
//
// What an object's account puts out of a caller's reach does not exist for the
// caller: the answer is the same not_found as for an id that was never given
// out. Lists hold only what is in reach, whatever their filters say.
//
// Errors are application/problem+json with the code, the detail and the hint of
// package fault.
package api
