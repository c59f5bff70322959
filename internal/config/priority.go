package config

func (c *Config) validatePriority() error {
	_, err := c.Priority.WithDefaults()
	return err
}
