package ops

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// State is how a component is.
type State string

// The states. Only Running is ready.
const (
	// Starting: opening what it needs, or taking a first snapshot.
	Starting State = "starting"
	// Running: doing its work.
	Running State = "running"
	// Waiting: failed, and pausing before the next start.
	Waiting State = "waiting"
	// Stopped: does not run and will not start again by itself.
	Stopped State = "stopped"
)

// ComponentReport is one component in the health report.
type ComponentReport struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Reason says why it is in this state: the last error, or what it waits for.
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// Health knows how each component of the process is.
type Health struct {
	// mu guards the reports of all components.
	mu    sync.Mutex
	parts map[string]*Component
}

// NewHealth makes an empty Health; without components nothing is ready.
func NewHealth() *Health { return &Health{parts: map[string]*Component{}} }

// Component is one part of the process that can be well or not.
type Component struct {
	health *Health
	report ComponentReport
}

// Component returns the component of that name and makes it, Starting, if it is
// new.
func (h *Health) Component(name string) *Component {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.parts[name]
	if c == nil {
		c = &Component{health: h, report: ComponentReport{Name: name, State: Starting, Since: time.Now()}}
		h.parts[name] = c
	}
	return c
}

// Set says how the component is and why.
func (c *Component) Set(state State, reason string) {
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	if c.report.State != state {
		c.report.Since = time.Now()
	}
	c.report.State, c.report.Reason = state, reason
}

// State is how the component is now.
func (c *Component) State() State {
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	return c.report.State
}

// Report lists the components by name and says whether all of them run.
func (h *Health) Report() (ready bool, parts []ComponentReport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ready = len(h.parts) > 0
	for _, c := range h.parts {
		ready = ready && c.report.State == Running
		parts = append(parts, c.report)
	}
	slices.SortFunc(parts, func(a, b ComponentReport) int { return strings.Compare(a.Name, b.Name) })
	return ready, parts
}
