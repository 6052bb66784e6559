// Package sinktest holds what every Sink must do, as tests, and Map, a database
// in memory with sinks and a log, for simulations.
//
//	func TestSink(t *testing.T) { sinktest.Run(t, target) }
//
// The suite runs against real servers through SQL, and against Map; so a fake
// that is kinder than a server is found out.
package sinktest
