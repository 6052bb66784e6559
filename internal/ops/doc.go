// Package ops keeps the loops of a process alive and says how they are: a
// supervisor that starts a failed loop again, health per component, metrics,
// and the HTTP server that shows both.
//
// The order of use is: NewHealth and NewMetrics, Listen with a Server made of
// them, then Supervisor.Run with the loops. Nothing in here knows what a loop
// does; the caller says which errors starting again cannot cure.
package ops
