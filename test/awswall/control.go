package awswall

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// No bucket can be named so: bucket names have no underscore.
const controlPrefix = "/_wall/"

func isControl(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, controlPrefix) }

// serveControl answers the control API, for tests in other languages and for a
// person with curl:
//
//	GET    /_wall/log[?after=SEQ]      the request log, one JSON object a line
//	POST   /_wall/faults               put a Fault in force; answers {"id": "1"}
//	GET    /_wall/faults/ID            {"id": "1", "count": 2}
//	DELETE /_wall/faults[/ID]          end one or all
//	GET    /_wall/health               "ok"
func (w *Wall) serveControl(rw http.ResponseWriter, r *http.Request) {
	switch what, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, controlPrefix), "/"); {
	case what == "health" && r.Method == http.MethodGet:
		_, _ = rw.Write([]byte("ok\n"))
	case what == "log" && r.Method == http.MethodGet:
		after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		rw.Header().Set("Content-Type", "application/x-ndjson")
		enc := json.NewEncoder(rw)
		for _, e := range w.Log() {
			if e.Seq > after {
				_ = enc.Encode(e) // the reader went away
			}
		}
	case what == "faults" && r.Method == http.MethodPost && id == "":
		var f Fault
		if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, 64<<10)).Decode(&f); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		in, err := w.Inject(f)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(rw, map[string]any{"id": in.ID})
	case what == "faults" && r.Method == http.MethodGet && id != "":
		in := w.faults.get(id)
		if in == nil {
			http.NotFound(rw, r)
			return
		}
		writeJSON(rw, map[string]any{"id": in.ID, "count": in.Count()})
	case what == "faults" && r.Method == http.MethodDelete:
		if id == "" {
			w.ClearFaults()
		} else if !w.faults.remove(id) {
			http.NotFound(rw, r)
			return
		}
		rw.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(rw, r)
	}
}

func writeJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(v) // the reader went away
}
