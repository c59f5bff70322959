package testenv

// Estate is what test/py/estate.py made.
type Estate struct {
	Region       string `json:"region"`
	Endpoint     string `json:"endpoint"`
	Organization struct {
		ID    string            `json:"id"`
		Root  string            `json:"root"`
		Units map[string]string `json:"units"`
	} `json:"organization"`
	Management struct {
		Account       string `json:"account"`
		Administrator Key    `json:"administrator"`
	} `json:"management"`
	Security struct {
		Account  string `json:"account"`
		Hub      Key    `json:"hub"`   // Parry's own credentials
		Judge    Key    `json:"judge"` // reads the queue
		TopicARN string `json:"topic_arn"`
		QueueURL string `json:"queue_url"`
		QueueARN string `json:"queue_arn"`
		// Findings is the queue that EventBridge brings findings to; in the story only.
		FindingsURL string `json:"findings_url"`
	} `json:"security"`
	MemberRole string `json:"member_role"`
	ExternalID string `json:"external_id"`
	// Members are "dev" and "prod"; in the story two of each unit, without buckets.
	Members map[string]Member `json:"members"`
}

// Member is a member account with its two buckets.
type Member struct {
	Account       string `json:"account"`
	Unit          string `json:"unit"`
	UnitName      string `json:"unit_name"`
	RoleARN       string `json:"role_arn"`
	PublicBucket  string `json:"public_bucket"`
	PrivateBucket string `json:"private_bucket"` // the good twin
	Judge         Key    `json:"judge"`          // may only read
	Owner         Key    `json:"owner"`          // may do everything in S3
}

// Key is a user's access key.
type Key struct {
	ARN         string `json:"arn"`
	AccessKeyID string `json:"access_key_id"`
	Secret      string `json:"secret_access_key"`
}
