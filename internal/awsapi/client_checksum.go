package awsapi

import (
	"crypto/md5"  //nolint:gosec // an integrity check of the wire, not a secret
	"crypto/sha1" //nolint:gosec // one of S3's checksum algorithms, when a caller asks for it
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// addChecksum adds the integrity header that an operation requires or supports,
// unless the caller gave one. The default is CRC32, as botocore's is.
func addChecksum(p *prepared, m *message) error {
	want := p.op.op.Checksum
	if hasChecksum(m.header) {
		return nil
	}
	if want.AlgorithmMember == "" {
		if want.MD5 || want.Required {
			sum := md5.Sum(m.body) //nolint:gosec // as the services ask
			m.header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
		}
		return nil
	}
	algorithm, _ := p.input[want.AlgorithmMember].(string)
	if algorithm == "" {
		algorithm = "CRC32"
	}
	h, ok := newChecksum(algorithm)
	if !ok {
		return fault.Errorf(fault.Invalid, "call "+p.name(), "checksum algorithm %q is not supported", clip(printable(algorithm))).
			WithHint("use CRC32, CRC32C, CRC64NVME, SHA1 or SHA256")
	}
	_, _ = h.Write(m.body) // a hash never fails
	m.header.Set("X-Amz-Checksum-"+algorithm, base64.StdEncoding.EncodeToString(h.Sum(nil)))
	m.header.Set("X-Amz-Sdk-Checksum-Algorithm", algorithm)
	return nil
}

// checksumFields start like a checksum and are none.
var checksumFields = map[string]bool{"X-Amz-Checksum-Mode": true, "X-Amz-Checksum-Type": true, "X-Amz-Checksum-Algorithm": true}

func hasChecksum(header http.Header) bool {
	for name := range header {
		if strings.HasPrefix(name, "X-Amz-Checksum-") && !checksumFields[name] {
			return true
		}
	}
	return header.Get("Content-Md5") != ""
}

// nvme is the polynomial of CRC64NVME, bit-reversed as Go has them.
const nvme = 0x9a6c9329ac4bc9b5

func newChecksum(algorithm string) (hash.Hash, bool) {
	switch algorithm {
	case "CRC32":
		return crc32.NewIEEE(), true
	case "CRC32C":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli)), true
	case "CRC64NVME":
		return crc64.New(crc64.MakeTable(nvme)), true
	case "SHA1":
		return sha1.New(), true //nolint:gosec // the caller asked for it
	case "SHA256":
		return sha256.New(), true
	}
	return nil, false
}

// responseChecksums are looked for in this order, the cheapest first, as
// botocore does.
var responseChecksums = []string{"CRC64NVME", "CRC32", "CRC32C", "SHA256", "SHA1"}

// checkBody compares a body with the checksum that came with it and gives the
// algorithm, or "" where there was nothing to compare: no header, a checksum of
// parts ("...-3"), or a range of the object.
func checkBody(p *prepared, a answer) (string, error) {
	if p.op.op.Checksum.ModeMember == "" || a.status != http.StatusOK {
		return "", nil
	}
	for _, algorithm := range responseChecksums {
		want := a.header.Get("X-Amz-Checksum-" + algorithm)
		if want == "" || strings.Contains(want, "-") {
			continue
		}
		h, _ := newChecksum(algorithm)
		_, _ = h.Write(a.body) // a hash never fails
		if got := base64.StdEncoding.EncodeToString(h.Sum(nil)); got != want {
			return "", fmt.Errorf("the body does not match its checksum: expected %s %s, calculated %s", strings.ToLower(algorithm), clip(printable(want)), got)
		}
		return strings.ToLower(algorithm), nil
	}
	return "", nil
}
