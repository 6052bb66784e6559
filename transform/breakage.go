package transform

import "github.com/strait-cdc/strait/transform/state"

// breakage switches off rules of the protocol, one by one, so that a test can
// show that the simulation notices. Nothing outside tests sets it.
type breakage struct {
	// agreedAtPlan agrees a value when it is planned (rule 1).
	agreedAtPlan bool
	// missedForgotten takes a missed guard for a made write (rule 2).
	missedForgotten bool
	// noBlock plans an entity whose write is unanswered (rule 3).
	noBlock bool
	// overlayKept looks through an overlay although its mark has been folded, and
	// noOverlay never does (rule 4).
	overlayKept, noOverlay bool
	// noFence does not wait for the mark of a missed write (rule 5).
	noFence bool
	// conflictAtPlan records a conflict that may never happen (rule 6).
	conflictAtPlan bool
}

// breakPlan does at planning what belongs to the answer.
func (e *engine) breakPlan(tx state.Txn, s *subject, p *planned) error {
	for i := range p.Effects {
		ef := &p.Effects[i]
		it := s.rec.find(ef.Child, ef.Item)
		if e.broken.agreedAtPlan && ef.Kind == effectAgree && it != nil {
			*it.field(ef.Field) = fieldState{Agreed: true, V: ef.V, Edit: ef.Edit, By: ef.By}
		}
		if e.broken.conflictAtPlan && ef.Conflict != nil {
			if err := e.recordConflict(tx, ef.Conflict); err != nil {
				return err
			}
		}
	}
	return nil
}
