package ops

import (
	"slices"
	"strings"
	"time"
)

// Status is the report of /status: the numbers of /metrics arranged for a
// person or a small program that watches one process.
type Status struct {
	Version  string    `json:"version"`
	Pipeline string    `json:"pipeline"`
	Started  time.Time `json:"started"`
	// Ready is true when all components run and the snapshots are done.
	Ready      bool              `json:"ready"`
	Components []ComponentReport `json:"components"`
	Systems    []SystemStatus    `json:"systems"`
	Flows      []FlowStatus      `json:"flows"`
	Entities   []EntityStatus    `json:"entities"`
	// Dirty is how many entities wait to be reconciled.
	Dirty int64 `json:"dirty"`
}

// SystemStatus is one database as a source.
type SystemStatus struct {
	Name string `json:"name"`
	// Commits and Changes are those published since the process started.
	Commits int64 `json:"commits"`
	Changes int64 `json:"changes"`
	// LagSeconds and DelaySeconds are strait_lag_seconds and
	// strait_capture_delay_seconds.
	LagSeconds    float64 `json:"lagSeconds"`
	DelaySeconds  float64 `json:"captureDelaySeconds"`
	RetainedBytes int64   `json:"slotRetainedBytes"`
}

// FlowStatus is one entity in one direction.
type FlowStatus struct {
	Entity string `json:"entity"`
	From   string `json:"from"`
	To     string `json:"to"`
	// LagSeconds is that of the system From.
	LagSeconds float64 `json:"lagSeconds"`
	// Applied counts intents that To took, Fields what they wrote; Missed and
	// Refused those it did not take.
	Applied int64 `json:"applied"`
	Fields  int64 `json:"fieldsWritten"`
	Missed  int64 `json:"missed"`
	Refused int64 `json:"refused"`
}

// EntityStatus is what belongs to no direction.
type EntityStatus struct {
	Entity    string `json:"entity"`
	Conflicts int64  `json:"conflicts"`
	Parked    int64  `json:"parked"`
	// Matched and Created count the links made since the process started: of records
	// that were on both sides, and of those created for the other side.
	Matched int64 `json:"matched"`
	Created int64 `json:"created"`
}

// FlowName is an entity with its two systems, for Status.
type FlowName struct {
	Entity  string
	Systems [2]string
}

// Status arranges the metrics under the names of systems and flows.
func (m *Metrics) Status(systems []string, flows []FlowName) (Status, error) {
	v, err := m.values()
	if err != nil {
		return Status{}, err
	}
	st := Status{Dirty: v.count("strait_dirty")}
	for _, s := range systems {
		st.Systems = append(st.Systems, SystemStatus{
			Name: s, Commits: v.count("strait_commits_total", s), Changes: v.count("strait_changes_total", s),
			LagSeconds: v.number("strait_lag_seconds", s), DelaySeconds: v.number("strait_capture_delay_seconds", s),
			RetainedBytes: v.count("strait_slot_retained_bytes", s),
		})
	}
	for _, f := range flows {
		st.Entities = append(st.Entities, EntityStatus{
			Entity: f.Entity, Conflicts: v.count("strait_conflicts_total", f.Entity), Parked: v.count("strait_parked", f.Entity),
			Matched: v.count("strait_linked_total", f.Entity, "matched"), Created: v.count("strait_linked_total", f.Entity, "created"),
		})
		for to, from := range []string{f.Systems[1], f.Systems[0]} {
			st.Flows = append(st.Flows, v.flow(f.Entity, from, f.Systems[to]))
		}
	}
	return st, nil
}

func (v values) flow(entity, from, to string) FlowStatus {
	return FlowStatus{
		Entity: entity, From: from, To: to, LagSeconds: v.number("strait_lag_seconds", from),
		Applied: v.count("strait_applied_total", entity, to), Fields: v.count("strait_fields_written_total", entity, to),
		Missed: v.count("strait_missed_total", entity, to), Refused: v.count("strait_refused_total", entity, to),
	}
}

// values are the counters and gauges by name and label values, the values in
// the order of the labels' names.
type values map[string]float64

func (m *Metrics) values() (values, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, err
	}
	out := values{}
	for _, f := range families {
		for _, s := range f.GetMetric() {
			labels := make([]string, 0, len(s.GetLabel()))
			for _, l := range s.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			slices.Sort(labels)
			for i, l := range labels {
				_, labels[i], _ = strings.Cut(l, "=")
			}
			out[valueKey(f.GetName(), labels)] = s.GetCounter().GetValue() + s.GetGauge().GetValue()
		}
	}
	return out, nil
}

func valueKey(name string, labels []string) string {
	return name + "\x00" + strings.Join(labels, "\x00")
}

func (v values) number(name string, labels ...string) float64 { return v[valueKey(name, labels)] }

func (v values) count(name string, labels ...string) int64 { return int64(v.number(name, labels...)) }
