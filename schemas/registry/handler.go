package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// The error codes of Confluent's API.
const (
	codeSubject       = 40401
	codeVersion       = 40402
	codeSchema        = 40403
	codeConfig        = 40408
	codeIncompatible  = 409
	codeInvalid       = 42201
	codeBadVersion    = 42202
	codeBadLevel      = 42203
	codeBadMode       = 42204
	codeStore         = 50001
	codeNotFound      = 404
	codeUnprocessable = 422
)

// Handler serves Confluent's HTTP API over the registry. The caller sets the
// server's timeouts. Whatever a client says it accepts, it gets JSON.
func (b *Builtin) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]answerer{
		"GET /{$}":                         b.getRoot,
		"GET /subjects":                    b.getSubjects,
		"GET /subjects/{subject}/versions": b.getVersions,
		"GET /subjects/{subject}/versions/{version}":              b.getVersion,
		"GET /subjects/{subject}/versions/{version}/schema":       b.getVersionText,
		"GET /subjects/{subject}/versions/{version}/referencedby": b.getReferences,
		"POST /subjects/{subject}/versions":                       b.postVersion,
		"POST /subjects/{subject}":                                b.postLookup,
		"DELETE /subjects/{subject}":                              b.deleteSubject,
		"DELETE /subjects/{subject}/versions/{version}":           b.deleteVersion,
		"GET /schemas":                                              b.getSchemas,
		"GET /schemas/types":                                        b.getTypes,
		"GET /schemas/ids/{id}":                                     b.getID,
		"GET /schemas/ids/{id}/schema":                              b.getIDText,
		"GET /schemas/ids/{id}/subjects":                            b.getIDSubjects,
		"GET /schemas/ids/{id}/versions":                            b.getIDVersions,
		"POST /compatibility/subjects/{subject}/versions":           b.postCompatibility,
		"POST /compatibility/subjects/{subject}/versions/{version}": b.postCompatibility,
		"GET /config":                                               b.getConfig,
		"GET /config/{subject}":                                     b.getConfig,
		"PUT /config":                                               b.putConfig,
		"PUT /config/{subject}":                                     b.putConfig,
		"DELETE /config/{subject}":                                  b.deleteConfig,
		"GET /mode":                                                 b.getMode,
		"GET /mode/{subject}":                                       b.getMode,
		"PUT /mode":                                                 b.putMode,
		"PUT /mode/{subject}":                                       b.putMode,
		"/":                                                         notFound,
	} {
		mux.Handle(pattern, h)
	}
	return mux
}

// answerer answers a request with what becomes JSON, or refuses with an *Error.
type answerer func(r *http.Request) (any, error)

// ServeHTTP writes the answer.
func (h answerer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	answer, err := h(r)
	status := http.StatusOK
	if err != nil {
		var refused *Error
		if !errors.As(err, &refused) {
			refused = &Error{http.StatusInternalServerError, codeStore, "Error in the backend data store: " + err.Error()}
		}
		status, answer = refused.Status, refused
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var body []byte
	if text, ok := answer.(json.RawMessage); ok {
		body = text
	} else {
		body = marshal(answer)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone if this fails
}

func refuse(status, code int, message string) error { return &Error{status, code, message} }

func notFound(*http.Request) (any, error) {
	return nil, refuse(http.StatusNotFound, codeNotFound, "HTTP 404 Not Found")
}

func (b *Builtin) getRoot(*http.Request) (any, error) { return struct{}{}, nil }

func (b *Builtin) getTypes(*http.Request) (any, error) { return []string{"AVRO"}, nil }

func flag(r *http.Request, name string) bool { return r.URL.Query().Get(name) == "true" }

// locked runs f over a state that is as new as the log.
func (b *Builtin) locked(ctx context.Context, f func() (any, error)) (any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(ctx); err != nil {
		return nil, err
	}
	return f()
}

func (b *Builtin) getSubjects(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		out := []string{}
		for _, s := range slices.Sorted(maps.Keys(b.state.subjects)) {
			if len(b.state.versions(s, flag(r, "deleted"))) > 0 {
				out = append(out, s)
			}
		}
		return out, nil
	})
}

func noSubject(subject string) error {
	return refuse(http.StatusNotFound, codeSubject, "Subject '"+subject+"' not found.")
}

func (b *Builtin) getVersions(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		subject := r.PathValue("subject")
		list := b.state.versions(subject, flag(r, "deleted"))
		if len(list) == 0 {
			return nil, noSubject(subject)
		}
		return numbers(list), nil
	})
}

func numbers(list []schemaValue) []int {
	out := make([]int, len(list))
	for i, v := range list {
		out[i] = v.Version
	}
	return out
}

// one finds the version that a path names: a number, latest or -1.
func (b *Builtin) one(r *http.Request) (schemaValue, error) {
	subject, name := r.PathValue("subject"), r.PathValue("version")
	n, err := strconv.Atoi(name)
	if name == "latest" {
		n, err = -1, nil
	}
	if err != nil || n < -1 || n == 0 {
		return schemaValue{}, refuse(codeUnprocessable, codeBadVersion, "The specified version '"+name+
			"' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"")
	}
	list := b.state.versions(subject, flag(r, "deleted"))
	if len(list) == 0 {
		return schemaValue{}, noSubject(subject)
	}
	if n == -1 {
		return list[len(list)-1], nil
	}
	for _, v := range list {
		if v.Version == n {
			return v, nil
		}
	}
	return schemaValue{}, refuse(http.StatusNotFound, codeVersion, "Version "+name+" not found.")
}

// shown is a version as the API shows it.
type shown struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
	ID      int32  `json:"id"`
	Schema  string `json:"schema"`
}

func show(v schemaValue) shown { return shown{v.Subject, v.Version, v.ID, v.Schema} }

func (b *Builtin) getVersion(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		v, err := b.one(r)
		return show(v), err
	})
}

func (b *Builtin) getVersionText(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		v, err := b.one(r)
		return json.RawMessage(v.Schema), err
	})
}

func (b *Builtin) getReferences(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		_, err := b.one(r)
		return []int{}, err
	})
}

func (b *Builtin) getSchemas(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		out := []shown{}
		for _, s := range slices.Sorted(maps.Keys(b.state.subjects)) {
			list := b.state.versions(s, flag(r, "deleted"))
			if flag(r, "latestOnly") && len(list) > 1 {
				list = list[len(list)-1:]
			}
			for _, v := range list {
				out = append(out, show(v))
			}
		}
		return out, nil
	})
}

// text is the schema of the id in the path. A subject in the query is only a
// hint: a topic that was renamed must stay readable.
func (b *Builtin) text(r *http.Request) (int32, string, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 32)
	if err != nil {
		return 0, "", refuse(http.StatusNotFound, codeNotFound, "HTTP 404 Not Found")
	}
	text, err := b.Schema(r.Context(), int32(id))
	if errors.Is(err, ErrNotFound) {
		err = refuse(http.StatusNotFound, codeSchema, "Schema "+r.PathValue("id")+" not found")
	}
	return int32(id), text, err
}

func (b *Builtin) getID(r *http.Request) (any, error) {
	_, text, err := b.text(r)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Schema string `json:"schema"`
		MaxID  *int32 `json:"maxId,omitempty"`
	}{Schema: text}
	if flag(r, "fetchMaxId") {
		b.mu.Lock()
		top := slices.Max(slices.Collect(maps.Keys(b.state.schemas)))
		b.mu.Unlock()
		answer.MaxID = &top
	}
	return answer, nil
}

func (b *Builtin) getIDText(r *http.Request) (any, error) {
	_, text, err := b.text(r)
	return json.RawMessage(text), err
}

func (b *Builtin) getIDSubjects(r *http.Request) (any, error) {
	return b.uses(r, func(v schemaValue) any { return v.Subject })
}

func (b *Builtin) getIDVersions(r *http.Request) (any, error) {
	return b.uses(r, func(v schemaValue) any {
		return map[string]any{"subject": v.Subject, "version": v.Version}
	})
}

// uses lists the versions that have the id of the path.
func (b *Builtin) uses(r *http.Request, of func(schemaValue) any) (any, error) {
	id, _, err := b.text(r)
	if err != nil {
		return nil, err
	}
	return b.locked(r.Context(), func() (any, error) {
		out := []any{}
		for _, s := range slices.Sorted(maps.Keys(b.state.subjects)) {
			for _, v := range b.state.versions(s, flag(r, "deleted")) {
				if v.ID == id {
					out = append(out, of(v))
				}
			}
		}
		return out, nil
	})
}

// body reads the JSON of a request.
func body(r *http.Request, into any) error {
	raw, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refuse(http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge, "The request is larger than 16 MiB")
	}
	if err != nil {
		return refuse(http.StatusBadRequest, http.StatusBadRequest, "The request ended early")
	}
	if json.Unmarshal(raw, into) != nil {
		return refuse(http.StatusBadRequest, http.StatusBadRequest, "The request is not JSON of the expected form")
	}
	return nil
}
