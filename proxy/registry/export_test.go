package registry

import "context"

// ForgetUses does what Run does once a day.
func ForgetUses(ctx context.Context, e *Engine) error { return e.forgetUses(ctx) }

// Flying counts the flights under way, for tests that wait for their end.
func (e *Engine) Flying() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.flights)
}
