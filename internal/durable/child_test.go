package durable_test

import (
	"encoding/base64"
)

const envChild = "PARRY_TEST_DURABLE_CHILD"

func child() {}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s))[:12] }
