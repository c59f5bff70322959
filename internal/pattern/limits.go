package pattern

// The published limits. A pattern beyond one is refused with the place; an
// event beyond one is an error for every pattern.
const (
	// MaxPatternBytes is the size of a pattern's JSON text.
	MaxPatternBytes = 16 << 10
	// MaxCombinations bounds the conjunctions that $or expands to.
	MaxCombinations = 1000
	// MaxFields bounds the fields of one conjunction.
	MaxFields = 256
	// MaxStars bounds the stars of one wildcard.
	MaxStars = 16
	// MaxEventBytes is the size of an event's JSON text.
	MaxEventBytes = 1 << 20
	// MaxDepth bounds the nesting of patterns and events.
	MaxDepth = 1000
	// MaxSteps bounds the work for one pattern and one event: leaves tested and
	// choices between array elements tried. An event of a megabyte that is not
	// made for it stays far below.
	MaxSteps = 3_000_000
	// MaxEventSteps bounds the same for one event and all patterns of a set: what
	// needs more, although each pattern alone would not, is an error for those
	// patterns that were not judged by then.
	MaxEventSteps = 10 * MaxSteps
)
