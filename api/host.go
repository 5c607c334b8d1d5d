package api

import (
	"context"
	"encoding/json"
	"net/http"

	"banger"
)

// WatchEventsRequest is the request of WatchEvents.
type WatchEventsRequest struct {
	Since int64 `query:"since" default:"-1" doc:"begin after this revision; negative: only new events, which is the default"`
}

// DoctorRequest is the request of Doctor.
type DoctorRequest struct {
	Deep bool `query:"deep" doc:"also read every byte of every image, which takes a while"`
}

// The operations on the host, on the daemon and on all records together.
var (
	WatchEvents = stream[WatchEventsRequest, EventLine](Route{
		ID: "watchEvents", Method: http.MethodGet, Path: "/v1/events", Summary: "Stream every change of every record, in order, as it happens.",
		Errors: codes(banger.CodeGone),
	})

	ListTrash = operation(Route{
		ID: "listTrash", Method: http.MethodGet, Path: "/v1/trash",
		Summary: "List the directories in the trash, which were found among those of VMs but are not VMs, oldest first.",
	}, func(ctx context.Context, s banger.Services, _ Empty) (TrashList, error) {
		trash, err := s.Trash.ListTrash(ctx)
		return TrashList{list(trash)}, err
	})

	EmptyTrash = operation(Route{
		ID: "emptyTrash", Method: http.MethodDelete, Path: "/v1/trash",
		Summary: "Delete everything in the trash that is not in use; answers with what was deleted.",
	}, func(ctx context.Context, s banger.Services, _ Empty) (TrashList, error) {
		removed, err := s.Trash.EmptyTrash(ctx)
		return TrashList{list(removed)}, err
	})

	Doctor = operation(Route{
		ID: "doctor", Method: http.MethodGet, Path: "/v1/doctor", Summary: "Check everything that banger needs on the host.",
	}, func(ctx context.Context, s banger.Services, q DoctorRequest) (CheckList, error) {
		checks, err := s.Host.Doctor(ctx, q.Deep)
		return CheckList{list(checks)}, err
	})

	Info = operation(Route{
		ID: "info", Method: http.MethodGet, Path: "/v1/info", Summary: "Show the daemon's version, paths and counters.", AnyVersion: true,
	}, func(ctx context.Context, s banger.Services, _ Empty) (banger.DaemonInfo, error) {
		return s.Host.Info(ctx)
	})

	DiskUsage = operation(Route{
		ID: "diskUsage", Method: http.MethodGet, Path: "/v1/disk-usage",
		Summary: "Show what images, kernels, VMs and the rest take of the host's disk, and what can be freed.",
	}, func(ctx context.Context, s banger.Services, _ Empty) (banger.DiskUsage, error) {
		return s.Disk.DiskUsage(ctx)
	})

	Shutdown = operation(Route{
		ID: "shutdown", Method: http.MethodPost, Path: "/v1/shutdown", Summary: "End the daemon; VMs and sessions keep running.",
		Status: http.StatusAccepted, AnyVersion: true,
	}, func(ctx context.Context, s banger.Services, _ Empty) (None, error) {
		return None{}, s.Host.Shutdown(ctx)
	})

	// Describe answers with OpenAPI, as it is.
	Describe = operation(Route{
		ID: "openapi", Method: http.MethodGet, Path: "/openapi.json", Summary: "Describe this API, in OpenAPI 3.1.", AnyVersion: true,
	}, func(context.Context, banger.Services, Empty) (map[string]any, error) {
		var description map[string]any
		err := json.Unmarshal(OpenAPI, &description)
		return description, err
	})
)

func hostRoutes() []Route {
	return []Route{WatchEvents.Route, ListTrash.Route, EmptyTrash.Route, Doctor.Route, Info.Route, DiskUsage.Route, Shutdown.Route, Describe.Route}
}
