package awsapi

import (
	"crypto/sha1" //nolint:gosec // one of S3's checksum algorithms, when a caller asks for it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// addChecksum adds the integrity header that an operation requires or supports,
// unless the caller gave one. The default is CRC32, as botocore's is since 1.36,
// also where the model asks for MD5.
func addChecksum(p *prepared, m *message) error {
	want := p.op.op.Checksum
	algorithm, _ := p.input[want.AlgorithmMember].(string)
	switch {
	case hasChecksum(m.header):
		return nil
	case want.AlgorithmMember != "" && algorithm != "":
	case want.MD5 || want.Required || want.AlgorithmMember != "":
		algorithm = "CRC32"
		if member, ok := p.op.op.Input.Member(want.AlgorithmMember); ok && member.LocationName != "" {
			m.header.Set(member.LocationName, algorithm)
		}
	default:
		return nil
	}
	h, ok := newChecksum(algorithm)
	if !ok {
		return fault.Errorf(fault.Invalid, "call "+p.name(), "checksum algorithm %q is not supported", clip(printable(algorithm))).
			WithHint("use CRC32, CRC32C, CRC64NVME, SHA1, SHA256 or SHA512")
	}
	_, _ = h.Write(m.body) // a hash never fails
	m.header.Set("X-Amz-Checksum-"+algorithm, base64.StdEncoding.EncodeToString(h.Sum(nil)))
	return nil
}

// addTreeHash adds the two hashes that Glacier wants of an upload: of the whole,
// and of a tree over its megabytes.
func addTreeHash(m *message) {
	whole := sha256.Sum256(m.body)
	if m.header.Get("X-Amz-Content-Sha256") == "" {
		m.header.Set("X-Amz-Content-Sha256", hex.EncodeToString(whole[:]))
	}
	if m.header.Get("X-Amz-Sha256-Tree-Hash") != "" {
		return
	}
	level := [][]byte{}
	for chunk := range slices.Chunk(m.body, 1<<20) {
		sum := sha256.Sum256(chunk)
		level = append(level, sum[:])
	}
	if len(level) == 0 {
		level = append(level, whole[:])
	}
	for len(level) > 1 {
		var up [][]byte
		for pair := range slices.Chunk(level, 2) {
			if len(pair) == 2 {
				sum := sha256.Sum256(append(slices.Clone(pair[0]), pair[1]...))
				pair = [][]byte{sum[:]}
			}
			up = append(up, pair[0])
		}
		level = up
	}
	m.header.Set("X-Amz-Sha256-Tree-Hash", hex.EncodeToString(level[0]))
}

func hasChecksum(header http.Header) bool {
	for name := range header {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			return true
		}
	}
	return false
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
	case "SHA512":
		return sha512.New(), true
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
