package sqlite

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"

	sqlite "modernc.org/sqlite"
)

// findFunction is instr, several times as fast: a search reads the texts of all
// findings, and most of that was the loop over their bytes.
const findFunction = "parry_find"

// registerFind makes findFunction known to the connections that are opened after it.
var registerFind = sync.OnceValue(func() error {
	return sqlite.RegisterFunction(findFunction, &sqlite.FunctionImpl{
		NArgs: 2, Deterministic: true, VolatileArgs: true, // nothing of the arguments is kept
		Scalar: func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			in, ok := args[0].(string)
			part, isText := args[1].(string)
			if !ok || !isText {
				return nil, fmt.Errorf("%s takes two texts, got %T and %T", findFunction, args[0], args[1])
			}
			return int64(strings.Index(in, part) + 1), nil
		},
	})
})
