package registry

import (
	"encoding/json"
	"fmt"
)

// The records of the topic _schemas, as Confluent's registry writes them. The
// order of the fields is theirs: the key's text decides what compaction keeps.

type schemaKey struct {
	Keytype string `json:"keytype"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
	Magic   int    `json:"magic"`
}

type schemaValue struct {
	Subject    string `json:"subject"`
	Version    int    `json:"version"`
	ID         int32  `json:"id"`
	SchemaType string `json:"schemaType,omitempty"`
	Schema     string `json:"schema"`
	Deleted    bool   `json:"deleted"`
}

type configKey struct {
	Keytype string  `json:"keytype"`
	Subject *string `json:"subject"`
	Magic   int     `json:"magic"`
}

type configValue struct {
	Level string `json:"compatibilityLevel"`
}

type modeValue struct {
	Mode string `json:"mode"`
}

type deleteKey struct {
	Keytype string `json:"keytype"`
	Subject string `json:"subject"`
	Magic   int    `json:"magic"`
}

type deleteValue struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

const (
	typeSchema = "SCHEMA"
	typeConfig = "CONFIG"
	typeMode   = "MODE"
	typeDelete = "DELETE_SUBJECT"
)

// apply folds one record of the log into the state. Records of kinds that we do
// not use (NOOP, CLEAR_SUBJECT, …) are passed over; a null value takes back what
// its key said.
func (s *state) apply(key, value []byte) error {
	var k struct {
		Keytype string `json:"keytype"`
		Subject string `json:"subject"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(key, &k); err != nil {
		return fmt.Errorf("a key in the log of schemas is not JSON: %w", err)
	}
	gone := len(value) == 0
	var err error
	switch k.Keytype {
	case typeSchema:
		var v schemaValue
		if gone {
			s.remove(k.Subject, k.Version)
		} else if err = json.Unmarshal(value, &v); err == nil {
			s.put(v)
		}
	case typeConfig:
		var v configValue
		if !gone {
			err = json.Unmarshal(value, &v)
		}
		set(s.config, k.Subject, v.Level)
	case typeMode:
		var v modeValue
		if !gone {
			err = json.Unmarshal(value, &v)
		}
		set(s.mode, k.Subject, v.Mode)
	case typeDelete:
		var v deleteValue
		if !gone {
			if err = json.Unmarshal(value, &v); err == nil {
				s.deleteSubject(v.Subject, v.Version)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("the record of %s in the log of schemas is not JSON: %w", key, err)
	}
	return nil
}

func set(m map[string]string, key, value string) {
	if value == "" {
		delete(m, key)
		return
	}
	m[key] = value
}

// marshal is JSON without HTML escapes.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("registry: a record of strings and numbers always marshals: " + err.Error())
	}
	return b
}
