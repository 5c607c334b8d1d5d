package client

import (
	"context"
	"io"

	"banger/api"
)

// ConsoleLog implements banger.VMService.
func (c *Client) ConsoleLog(ctx context.Context, ref string, maxBytes int64) ([]byte, error) {
	resp, _, err := open(ctx, c, api.ConsoleLog, api.ConsoleLogRequest{VM: ref, MaxBytes: maxBytes})
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
