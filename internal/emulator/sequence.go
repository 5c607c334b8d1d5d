package emulator

const (
	maxParams = 32
	maxParam  = 1 << 16
)

// sequence is an escape or control sequence as far as it has been read.
type sequence struct {
	mark    byte // of a control sequence: '<' to '?', or 0
	middle  byte // the intermediate byte, or 0
	broken  bool // there are more intermediate bytes than in any sequence that is known
	params  [maxParams]int
	colons  uint32 // bit i: a colon stands before the parameter i
	count   int    // of params
	tooMany bool   // the parameter that is read is one too many
}

// begin forgets the one before. Its parameters are of no use until beginParams.
func (s *sequence) begin() { s.mark, s.middle, s.broken = 0, 0, false }

func (s *sequence) beginParams() { s.count, s.colons, s.tooMany = 0, 0, false }

// param returns the parameter i, otherwise where it is absent or 0.
func (s *sequence) param(i, otherwise int) int {
	if i < s.count && s.params[i] > 0 {
		return s.params[i]
	}
	return otherwise
}

// setMark takes in the byte behind CSI which says that the sequence is a private one.
func (s *sequence) setMark(c byte) {
	s.broken = s.broken || s.count > 0 || s.mark != 0 || s.middle != 0
	s.mark = c
}

// setMiddle takes in an intermediate byte.
func (s *sequence) setMiddle(c byte) {
	s.broken = s.broken || s.middle != 0
	s.middle = c
}

// digit adds a digit to the last parameter.
func (s *sequence) digit(n int) {
	s.broken = s.broken || s.middle != 0
	if s.count == 0 {
		s.push(false)
	}
	if s.tooMany {
		return
	}
	p := &s.params[s.count-1]
	*p = min(max(*p, 0)*10+n, maxParam)
}

// separator begins the next parameter.
func (s *sequence) separator(colon bool) {
	s.broken = s.broken || s.middle != 0
	if s.count == 0 {
		s.push(false)
	}
	s.push(colon)
}

// push appends a parameter that is not given yet; what is too much is left out.
func (s *sequence) push(colon bool) {
	if s.tooMany = s.count == maxParams; s.tooMany {
		return
	}
	if colon {
		s.colons |= 1 << s.count
	}
	s.params[s.count] = -1
	s.count++
}
