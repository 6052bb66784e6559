// Package transform is the middle of Strait: it folds commits into rows,
// assembles rows into entities, matches entities of two systems, merges their
// fields and plans guarded writes.
//
// It is level-triggered: what is compared are states, never events. A change
// only marks its entity dirty; after a quiet period Reconcile compares both
// sides with the values they last agreed on and plans what is missing. A write
// of ours comes back through the log like any other change, and then there is
// nothing left to do. The rules that make this safe are in ARCHITECTURE.md.
//
// The parts: tables.go knows which table matters to which entity; fold.go, rows.go
// and overlay.go keep the rows; units.go keeps what is dirty and who waits for
// whom; assemble.go and match.go build what reconcile.go and fields.go (pure) decide;
// plan.go writes the intents down before anything is sent; settle.go takes the
// answers; reconciler.go drives them all.
package transform
