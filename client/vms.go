package client

import (
	"context"
	"io"
	"strconv"

	"banger"
	"banger/api"
)

// CreateVM implements banger.VMService.
func (c *Client) CreateVM(ctx context.Context, r banger.VMRequest) (banger.VM, error) {
	q := post("/v1/vms")
	q.json = r
	return call[banger.VM](ctx, c, q)
}

// ListVMs implements banger.VMService.
func (c *Client) ListVMs(ctx context.Context) ([]banger.VM, error) {
	list, err := call[api.VMList](ctx, c, get("/v1/vms"))
	return list.VMs, err
}

// GetVM implements banger.VMService.
func (c *Client) GetVM(ctx context.Context, ref string) (banger.VM, error) {
	return call[banger.VM](ctx, c, get("/v1/vms/{vm}", ref))
}

// DeleteVM implements banger.VMService.
func (c *Client) DeleteVM(ctx context.Context, ref string, force bool) error {
	q := remove("/v1/vms/{vm}", ref)
	q.query.Set("force", strconv.FormatBool(force))
	_, err := c.do(ctx, q, nil)
	return err
}

// SetVM implements banger.VMService.
func (c *Client) SetVM(ctx context.Context, ref string, u banger.VMUpdate) (banger.VM, error) {
	q := patch("/v1/vms/{vm}", ref)
	q.json = u
	return call[banger.VM](ctx, c, q)
}

// StartVM implements banger.VMService.
func (c *Client) StartVM(ctx context.Context, ref string) (banger.VM, error) {
	return call[banger.VM](ctx, c, post("/v1/vms/{vm}/start", ref))
}

// StopVM implements banger.VMService.
func (c *Client) StopVM(ctx context.Context, ref string, r banger.VMStopRequest) (banger.VM, error) {
	q := post("/v1/vms/{vm}/stop", ref)
	q.stop(r.Kill, r.Grace)
	return call[banger.VM](ctx, c, q)
}

// ConsoleLog implements banger.VMService.
func (c *Client) ConsoleLog(ctx context.Context, ref string, maxBytes int64) ([]byte, error) {
	q := get("/v1/vms/{vm}/console-log", ref)
	q.query.Set("max_bytes", strconv.FormatInt(maxBytes, 10))
	resp, _, err := c.open(ctx, q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes))
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	return data, nil
}

// SSHAccess implements banger.VMService.
func (c *Client) SSHAccess(ctx context.Context, ref string) (banger.SSHAccess, error) {
	return call[banger.SSHAccess](ctx, c, get("/v1/vms/{vm}/ssh", ref))
}
