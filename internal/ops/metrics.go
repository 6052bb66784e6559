package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/strait-cdc/strait/schemas"
)

// Metrics counts what the process does. Each has its own registry, so that
// several can live in one process.
type Metrics struct {
	registry *prometheus.Registry
	lag      *lagBook

	commits, changes                 *prometheus.CounterVec
	applied, fields, missed, refused *prometheus.CounterVec
	conflicts, linked, planned       *prometheus.CounterVec
	restarts                         *prometheus.CounterVec
	parked, retained, limit, dirty   *prometheus.GaugeVec
	batch, publish                   *prometheus.HistogramVec
}

// seconds are the buckets of all histograms: 0.5 ms to 16 s.
var seconds = prometheus.ExponentialBuckets(0.0005, 2, 16)

// NewMetrics makes the metrics of a process of that version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), lag: newLagBook()}
	m.commits = m.counter("strait_commits_total", "Commits published to Kafka.", "system")
	m.changes = m.counter("strait_changes_total", "Row changes read from a snapshot or the log.", "system")
	m.applied = m.counter("strait_applied_total", "Intents that a target database took, by target system.", "system", "entity")
	m.fields = m.counter("strait_fields_written_total", "Fields written to a target database, by target system.", "system", "entity")
	m.missed = m.counter("strait_missed_total", "Intents whose guard did not hold: a crossing write, planned again.", "system", "entity")
	m.refused = m.counter("strait_refused_total", "Intents that a target database refused; the entity is parked.", "system", "entity")
	m.conflicts = m.counter("strait_conflicts_total", "Fields that both sides had changed; the losing value is in the conflict record.", "entity")
	m.restarts = m.counter("strait_restarts_total", "Starts of a loop after a failure.", "loop")
	m.parked = m.gauge("strait_parked", "Entities that wait for a person.", "entity")
	m.retained = m.gauge("strait_slot_retained_bytes", "Log that the database keeps for us.", "system")
	m.limit = m.gauge("strait_slot_limit_bytes", "Log that the database keeps at most before it gives our position up; absent where there is no limit.", "system")
	m.batch = m.histogram("strait_batch_seconds", "Time of one apply transaction, by target system.", "system")
	m.publish = m.histogram("strait_publish_seconds", "Time of one Kafka transaction.", "system")
	m.planned = m.counter("strait_planned_total", "Intents written down before they are sent, by target system.", "system")
	m.linked = m.counter("strait_linked_total", "Records linked: how is matched (both were there) or created.", "entity", "how")
	m.dirty = m.gauge("strait_dirty", "Entities that wait to be reconciled.")
	info := m.gauge("strait_build_info", "Always 1; the version is in the label.", "version")
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.lag, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
	m.registry.MustRegister(v)
	return v
}

// System makes the series of a system appear with zero, so that a rate over
// them is right from the first event on.
func (m *Metrics) System(system string) {
	m.commits.WithLabelValues(system)
	m.changes.WithLabelValues(system)
	m.batch.WithLabelValues(system)
	m.publish.WithLabelValues(system)
	m.planned.WithLabelValues(system)
	m.lag.system(system)
}

// Flow makes the series of an entity with its two systems appear with zero.
func (m *Metrics) Flow(entity string, systems ...string) {
	m.conflicts.WithLabelValues(entity)
	m.parked.WithLabelValues(entity)
	m.linked.WithLabelValues(entity, "matched")
	m.linked.WithLabelValues(entity, "created")
	for _, s := range systems {
		for _, v := range []*prometheus.CounterVec{m.applied, m.fields, m.missed, m.refused} {
			v.WithLabelValues(s, entity)
		}
	}
}

// Read counts row changes read from a system.
func (m *Metrics) Read(system string, changes int) {
	m.changes.WithLabelValues(system).Add(float64(changes))
}

// Published counts a commit that is durable in Kafka, with the time of its Kafka
// transaction.
func (m *Metrics) Published(c *schemas.Commit, took time.Duration) {
	m.commits.WithLabelValues(c.System).Inc()
	m.publish.WithLabelValues(c.System).Observe(took.Seconds())
	m.lag.published(c, time.Now())
}

// Folded notes that the reconciler has taken the whole commit.
func (m *Metrics) Folded(c *schemas.Commit) { m.lag.folded(c) }

// Applied counts intents that the target took, with the fields they wrote.
func (m *Metrics) Applied(system, entity string, fields int) {
	m.applied.WithLabelValues(system, entity).Inc()
	m.fields.WithLabelValues(system, entity).Add(float64(fields))
}

// Missed counts an intent whose guard did not hold.
func (m *Metrics) Missed(system, entity string) { m.missed.WithLabelValues(system, entity).Inc() }

// Refused counts an intent that the target refused.
func (m *Metrics) Refused(system, entity string) { m.refused.WithLabelValues(system, entity).Inc() }

// Conflict counts a field that both sides had changed.
func (m *Metrics) Conflict(entity string) { m.conflicts.WithLabelValues(entity).Inc() }

// Parked says how many entities wait for a person now.
func (m *Metrics) Parked(entity string, n int) { m.parked.WithLabelValues(entity).Set(float64(n)) }

// Batch notes the time of one apply transaction.
func (m *Metrics) Batch(system string, took time.Duration) {
	m.batch.WithLabelValues(system).Observe(took.Seconds())
}

// Planned counts intents that have been written down.
func (m *Metrics) Planned(system string, intents int) {
	m.planned.WithLabelValues(system).Add(float64(intents))
}

// Linked counts two records found to be the same, or one created for the other.
func (m *Metrics) Linked(entity string, created bool) {
	how := "matched"
	if created {
		how = "created"
	}
	m.linked.WithLabelValues(entity, how).Inc()
}

// Dirty says how many entities wait to be reconciled now.
func (m *Metrics) Dirty(n int) { m.dirty.WithLabelValues().Set(float64(n)) }

// Retained notes how much log the database keeps for us, in bytes, and how much
// it keeps at most; limit 0 is none.
func (m *Metrics) Retained(system string, bytes, limit int64) {
	m.retained.WithLabelValues(system).Set(float64(bytes))
	if limit > 0 {
		m.limit.WithLabelValues(system).Set(float64(limit))
	}
}

// Restarted counts a start after a failure.
func (m *Metrics) Restarted(loop string) { m.restarts.WithLabelValues(loop).Inc() }
