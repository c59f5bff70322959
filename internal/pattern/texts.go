package pattern

// texts is a set of strings, a list as long as it is short.
type texts struct {
	few  []string
	many map[string]bool
}

// manyTexts is from how many on strings are looked up by their hash.
const manyTexts = 9

func (t *texts) add(s string) {
	if t.has(s) {
		return
	}
	t.few = append(t.few, s)
	switch n := len(t.few); {
	case n == manyTexts:
		t.many = make(map[string]bool, 2*n)
		for _, s := range t.few {
			t.many[s] = true
		}
	case n > manyTexts:
		t.many[s] = true
	}
}

func (t *texts) has(s string) bool {
	if t.many != nil {
		return t.many[s]
	}
	for _, x := range t.few {
		if x == s {
			return true
		}
	}
	return false
}

func (t *texts) all() []string { return t.few }
