package registry

// Flying counts the flights under way, for tests that wait for their end.
func (e *Engine) Flying() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.flights)
}
