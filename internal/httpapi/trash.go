package httpapi

import "banger/api"

func (s *server) listTrash(r *request) (any, error) {
	trash, err := s.Trash.ListTrash(r.Context())
	return api.TrashList{Trash: list(trash)}, err
}

func (s *server) emptyTrash(r *request) (any, error) {
	removed, err := s.Trash.EmptyTrash(r.Context())
	return api.TrashList{Trash: list(removed)}, err
}
