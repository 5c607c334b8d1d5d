package mmdebstrap

import "sync"

// meter reports progress: by stages, and by bytes of the tar.
type meter struct {
	mu     sync.Mutex // guards the rest, and calls report
	report func(stage string, done float64)
	bytes  int64
	done   float64 // as last reported
}

// begin reports the beginning of a stage.
func (m *meter) begin(s stage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(s.name, s.done)
}

// Write counts bytes of the tar.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += int64(len(p))
	part := min(1, float64(m.bytes)/usualTarBytes)
	if now := tarStart + part*(tarEnd-tarStart); now >= m.done+0.01 {
		m.tell(writing, now)
	}
	return len(p), nil
}

func (m *meter) tell(name string, done float64) {
	m.done = done
	if m.report != nil {
		m.report(name, done)
	}
}
