package httpapi

import (
	"banger"
	"banger/api"
)

func (s *server) createVM(r *request) (any, error) {
	var body banger.VMRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	return s.VMs.CreateVM(r.Context(), body)
}

func (s *server) listVMs(r *request) (any, error) {
	vms, err := s.VMs.ListVMs(r.Context())
	return api.VMList{VMs: list(vms)}, err
}

func (s *server) getVM(r *request) (any, error) { return s.VMs.GetVM(r.Context(), r.vm()) }

func (s *server) deleteVM(r *request) (any, error) {
	return nil, s.VMs.DeleteVM(r.Context(), r.vm(), r.flag("force"))
}

func (s *server) setVM(r *request) (any, error) {
	var body banger.VMUpdate
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	return s.VMs.SetVM(r.Context(), r.vm(), body)
}

func (s *server) startVM(r *request) (any, error) { return s.VMs.StartVM(r.Context(), r.vm()) }

func (s *server) stopVM(r *request) (any, error) {
	kill, grace, err := r.grace()
	if err != nil {
		return nil, err
	}
	return s.VMs.StopVM(r.Context(), r.vm(), banger.VMStopRequest{Kill: kill, Grace: grace})
}

func (s *server) consoleLog(r *request) (any, error) {
	limit := int64(api.DefaultConsoleBytes)
	if n := r.int("max_bytes"); n != nil {
		limit = *n
	}
	if limit < 0 {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot read console log: max_bytes must not be negative: %d", limit)
	}
	return s.VMs.ConsoleLog(r.Context(), r.vm(), limit)
}

func (s *server) sshAccess(r *request) (any, error) { return s.VMs.SSHAccess(r.Context(), r.vm()) }

// list makes an empty list one in JSON too, where nil would be null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
