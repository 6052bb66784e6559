package registry

import (
	"errors"
	"net/http"
	"strings"
)

// candidate is a schema in a request.
type candidate struct {
	Schema     string `json:"schema"`
	SchemaType string `json:"schemaType"`
	References []any  `json:"references"`
}

func readCandidate(r *http.Request) (c candidate, text string, err error) {
	if err = body(r, &c); err != nil {
		return c, "", err
	}
	if c.SchemaType != "" && c.SchemaType != "AVRO" {
		return c, "", refuse(codeUnprocessable, codeInvalid, "Schema type "+c.SchemaType+" is not supported here; use AVRO")
	}
	if len(c.References) > 0 {
		return c, "", refuse(codeUnprocessable, codeInvalid, "References to other schemas are not supported here; write the types out")
	}
	if text, err = canonical(c.Schema); err == nil {
		_, err = parse(c.Schema)
	}
	if err != nil {
		return c, "", refuse(codeUnprocessable, codeInvalid, "Invalid schema: "+err.Error())
	}
	return c, text, nil
}

func (b *Builtin) postVersion(r *http.Request) (any, error) {
	c, _, err := readCandidate(r)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v, err := b.register(r.Context(), r.PathValue("subject"), c.Schema, true)
	var no *errIncompatible
	if errors.As(err, &no) {
		return nil, refuse(http.StatusConflict, codeIncompatible, no.Error())
	}
	return map[string]int32{"id": v.ID}, err
}

// postLookup finds a schema in a subject, whatever the order of its attributes.
func (b *Builtin) postLookup(r *http.Request) (any, error) {
	_, text, err := readCandidate(r)
	if err != nil {
		return nil, err
	}
	return b.locked(r.Context(), func() (any, error) {
		subject := r.PathValue("subject")
		if len(b.state.versions(subject, true)) == 0 {
			return nil, noSubject(subject)
		}
		v, ok := b.find(subject, text, flag(r, "deleted"))
		if !ok {
			return nil, refuse(http.StatusNotFound, codeSchema, "Schema not found")
		}
		return show(v), nil
	})
}

// deleteSubject is soft: the versions stay in the log, and their ids stay
// readable, as records with them are still in the topics.
func (b *Builtin) deleteSubject(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		subject := r.PathValue("subject")
		list := b.state.versions(subject, false)
		if len(list) == 0 {
			return nil, noSubject(subject)
		}
		last := list[len(list)-1].Version
		return numbers(list), b.append(r.Context(), deleteKey{typeDelete, subject, 0}, deleteValue{subject, last})
	})
}

func (b *Builtin) deleteVersion(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		v, err := b.one(r)
		if err != nil {
			return nil, err
		}
		v.Deleted = true
		return v.Version, b.append(r.Context(), schemaKey{typeSchema, v.Subject, v.Version, 1}, v)
	})
}

func (b *Builtin) postCompatibility(r *http.Request) (any, error) {
	c, _, err := readCandidate(r)
	if err != nil {
		return nil, err
	}
	return b.locked(r.Context(), func() (any, error) {
		subject := r.PathValue("subject")
		before := b.texts(subject)
		if r.PathValue("version") != "" {
			v, err := b.one(r)
			if err != nil {
				return nil, err
			}
			before = []string{v.Schema}
		}
		why := compatible(b.level(subject), c.Schema, before)
		answer := map[string]any{"is_compatible": why == nil}
		if flag(r, "verbose") {
			answer["messages"] = append([]string{}, why...)
		}
		return answer, nil
	})
}

func (b *Builtin) getConfig(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		subject := r.PathValue("subject")
		level := b.state.config[subject]
		if level == "" && (subject == "" || flag(r, "defaultToGlobal")) {
			level = b.level("")
		}
		if level == "" {
			return nil, refuse(http.StatusNotFound, codeConfig, "Subject '"+subject+"' does not have subject-level compatibility configured")
		}
		return configValue{level}, nil
	})
}

func (b *Builtin) putConfig(r *http.Request) (any, error) {
	var c struct {
		Compatibility string `json:"compatibility"`
	}
	if err := body(r, &c); err != nil {
		return nil, err
	}
	if _, ok := levels[c.Compatibility]; !ok {
		return nil, refuse(codeUnprocessable, codeBadLevel, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive, in capitals")
	}
	return b.locked(r.Context(), func() (any, error) {
		return c, b.append(r.Context(), configKey{typeConfig, subjectOrAll(r), 0}, configValue{c.Compatibility})
	})
}

func (b *Builtin) deleteConfig(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		subject := r.PathValue("subject")
		level := b.state.config[subject]
		if level == "" {
			return nil, noSubject(subject)
		}
		return configValue{level}, b.append(r.Context(), configKey{typeConfig, subjectOrAll(r), 0}, nil)
	})
}

// subjectOrAll is the subject of the path, nil for the setting of all.
func subjectOrAll(r *http.Request) *string {
	if s := r.PathValue("subject"); s != "" {
		return &s
	}
	return nil
}

func (b *Builtin) getMode(r *http.Request) (any, error) {
	return b.locked(r.Context(), func() (any, error) {
		for _, s := range []string{r.PathValue("subject"), ""} {
			if m := b.state.mode[s]; m != "" {
				return modeValue{m}, nil
			}
		}
		return modeValue{"READWRITE"}, nil
	})
}

// putMode takes READWRITE alone: capture must always be able to register.
func (b *Builtin) putMode(r *http.Request) (any, error) {
	var m modeValue
	if err := body(r, &m); err != nil {
		return nil, err
	}
	m.Mode = strings.ToUpper(m.Mode)
	if m.Mode != "READWRITE" {
		return nil, refuse(codeUnprocessable, codeBadMode, "Invalid mode. This registry is always READWRITE")
	}
	return b.locked(r.Context(), func() (any, error) {
		return m, b.append(r.Context(), configKey{typeMode, subjectOrAll(r), 0}, m)
	})
}
