package httpapi

import (
	"encoding/json"

	"banger/api"
)

func (s *server) doctor(r *request) (any, error) {
	checks, err := s.Host.Doctor(r.Context(), r.flag("deep"))
	return api.CheckList{Checks: list(checks)}, err
}

func (s *server) info(r *request) (any, error) { return s.Host.Info(r.Context()) }

func (s *server) shutdown(r *request) (any, error) { return nil, s.Host.Shutdown(r.Context()) }

func (s *server) openAPI(*request) (any, error) { return json.RawMessage(api.OpenAPI), nil }
