package automation

// ParseIntegration gives the address of an integration.
func ParseIntegration(raw []byte) (string, error) {
	to, err := parseIntegration(raw)
	return to.URL, err
}
