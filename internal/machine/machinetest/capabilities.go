package machinetest

import (
	"slices"

	"banger"
	"banger/internal/vmm"
)

// capabilities checks that a driver has the capabilities that it is to have, and says
// what to do where it lacks one.
func capabilities(s *suite) {
	d := s.Driver(s.T)
	if got := vmm.Capabilities(d); !slices.Equal(got, s.Can) {
		s.Errorf("it can %q, want %q", got, s.Can)
	}
	if d.Name() == "" || d.Name() != s.Driver(s.T).Name() {
		s.Errorf("its name is %q, and then %q", d.Name(), s.Driver(s.T).Name())
	}
	if d.Kind().Noun == "" {
		s.Error("its machines have no name for people")
	}
	for _, c := range banger.Capabilities() {
		if instead := d.Kind().Instead[c]; slices.Contains(s.Can, c) == (instead != "") {
			s.Errorf("of %s it says %q", c, instead)
		}
	}
	if logger, ok := d.(vmm.ConsoleLogger); ok && len(logger.ConsoleLogs()) == 0 {
		s.Error("its console has no files")
	}
	m := s.machine(d)
	defer s.end(m)
	_, owned := m.(vmm.Owned)
	_, standing := m.(vmm.Standing)
	if makes := slices.Contains(s.Can, banger.CanPower); owned != makes || standing == makes {
		s.Errorf("its machine is owned: %v, standing: %v", owned, standing)
	}
}

// enrolled follows a machine that is there without its driver.
func enrolled(s *suite) {
	d := s.Driver(s.T)
	m := s.machine(d)
	defer s.end(m)
	s.waitReady(m)
	s.greet(m)
	s.mustDescribe(m)
	access, err := d.(vmm.Enroller).SSHAccess(m.Ref())
	if err != nil || access.Destination != s.Host.SSH {
		s.Errorf("the user's ssh is told %+v, %v", access, err)
	}
	other := s.adopt(s.Driver(s.T), m.Ref())
	defer s.end(other)
	s.mustBeTheSame(m, other)
	for range 2 {
		m.(vmm.Standing).Forget()
	}
	s.waitDone(m)
	s.mustBeGone("WaitReady", m.WaitReady(s.bounded()))
	s.mustRun(other) // and the machine does not know
	s.greet(other)
}

// refusing checks that nothing is made of a machine that lets nobody in.
func refusing(s *suite) {
	m, err := s.Driver(s.T).(vmm.Enroller).Probe(s.Context(), s.Refusing)
	if err == nil {
		s.end(m)
		s.Fatal("a machine that lets nobody in was added")
	}
	s.Logf("it says: %v", err)
}
