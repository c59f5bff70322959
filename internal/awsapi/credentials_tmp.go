// The client of this package brings its own Credentials; this file goes when it lands.

package awsapi

type Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }
