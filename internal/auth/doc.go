// Package auth says who may do what: the roles and their actions, the accounts
// that a principal is limited to, and the access keys by which a request is
// known.
//
// A request carries a key that Parry issued and proves it by an AWS signature
// (package awsfront/sigv4). The key names a principal, its roles and its
// accounts. What a role may do is one closed table; on which accounts is a
// second, independent question, and both must be answered yes.
//
// Default closed: a role that is not in the table gives nothing, a key without
// accounts sees nothing, and an account that is empty is nobody's.
package auth
