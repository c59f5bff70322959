// Package testenv starts the world that Parry runs against in tests and in
// `parry demo`: moto with the additions of test/motoext, the wall in front of it
// (package awswall), an AWS Organization made through the wall, a mail server
// that keeps what it is sent, and PostgreSQL.
//
// Everything listens on loopback, on free ports. The processes end with the one
// that started them, however that ends: each watches its standard input.
package testenv
