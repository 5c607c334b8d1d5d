package banger

import "context"

type progressKey struct{}

// WithSteps returns a context whose long operation reports each step that it begins, in
// words for a user, by calling report. It may be called from several goroutines, must not
// block, and gets no step after the operation has returned.
func WithSteps(ctx context.Context, report func(step string)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// Step reports a step to whoever wants to know; see [WithSteps].
func Step(ctx context.Context, step string) {
	if report, ok := ctx.Value(progressKey{}).(func(string)); ok {
		report(step)
	}
}
