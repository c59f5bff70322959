// Package storetest is the store's one conformance suite: both databases must
// pass it, method by method. It also gives tests a PostgreSQL of their own.
package storetest
