// Package apply is what the sinks of all databases have in common: the one
// transaction of a batch with its mark, the savepoints that make an intent all
// or nothing, the answers that survive a lost reply, and the links.
//
// A database gives a Session: Do writes rows, the rest is what its name says.
// Run calls it in this order:
//
//	Begin, Mark, { Savepoint, Do…, ReadLinks, WriteLinks, Check, Release | Undo }…, SaveAnswers, Commit
//
// Intents are tried in large groups under one savepoint, because nearly all of
// them succeed and a round trip costs more than a row. When a group fails it is
// undone, split at the intent that failed (in halves where the server does not
// tell which it was), and tried again in the same order.
package apply
