// Package apimodel holds AWS's own API models for every service: operations,
// shapes, wire names, what an operation may do to an account (Class), which IAM
// actions it needs, and how a change is undone (images).
//
// The models are botocore's, stripped of documentation and packed by gen into
// the embedded archive models.bin; `make models` writes it anew. A service is
// decoded when it is first asked for. Everything here is data and pure
// functions: no I/O, no clock, no logger.
package apimodel
