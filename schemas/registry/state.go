package registry

import (
	"cmp"
	"slices"
)

// state is what the log of schemas says.
type state struct {
	// schemas by id: the first text that was registered under it.
	schemas map[int32]string
	// canonical gives the id of a schema in its canonical text.
	canonical map[string]int32
	subjects  map[string][]schemaValue // by version, ascending; deleted ones too
	config    map[string]string
	mode      map[string]string
	// lost are schemas whose version another process has written over: both took
	// the same one at the same time.
	lost []schemaValue
}

func newState() *state {
	return &state{schemas: map[int32]string{}, canonical: map[string]int32{}, subjects: map[string][]schemaValue{},
		config: map[string]string{}, mode: map[string]string{}}
}

func (s *state) put(v schemaValue) {
	if _, known := s.schemas[v.ID]; !known {
		s.schemas[v.ID] = v.Schema
		if c, err := canonical(v.Schema); err == nil {
			if _, known := s.canonical[c]; !known {
				s.canonical[c] = v.ID
			}
		}
	}
	list := s.subjects[v.Subject]
	i, found := slices.BinarySearchFunc(list, v.Version, byVersion)
	if found {
		if list[i].ID != v.ID {
			s.lost = append(s.lost, list[i])
		}
		list[i] = v
	} else {
		list = slices.Insert(list, i, v)
	}
	s.subjects[v.Subject] = list
}

func byVersion(v schemaValue, version int) int { return cmp.Compare(v.Version, version) }

func (s *state) remove(subject string, version int) {
	list := s.subjects[subject]
	if i, found := slices.BinarySearchFunc(list, version, byVersion); found {
		s.subjects[subject] = slices.Delete(list, i, i+1)
	}
	if len(s.subjects[subject]) == 0 {
		delete(s.subjects, subject)
	}
}

// deleteSubject marks the versions up to one as deleted.
func (s *state) deleteSubject(subject string, upTo int) {
	for i := range s.subjects[subject] {
		if v := &s.subjects[subject][i]; v.Version <= upTo {
			v.Deleted = true
		}
	}
}

// versions are those of a subject, without the deleted ones unless asked for.
func (s *state) versions(subject string, deleted bool) []schemaValue {
	var out []schemaValue
	for _, v := range s.subjects[subject] {
		if !v.Deleted || deleted {
			out = append(out, v)
		}
	}
	return out
}

// next is the version that the next schema of a subject gets.
func (s *state) next(subject string) int {
	list := s.subjects[subject]
	if len(list) == 0 {
		return 1
	}
	return list[len(list)-1].Version + 1
}
