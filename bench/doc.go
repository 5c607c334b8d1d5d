// Package bench measures banger against what it is built on and what people
// would use instead. Everything is a ratio of two things that alternate in one
// run; absolute times on a shared machine mean nothing.
package bench
