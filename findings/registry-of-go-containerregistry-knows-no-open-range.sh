#!/bin/sh
# To continue a download a client asks for "Range: bytes=N-", which RFC 9110 (14.1.2) has in
# its first examples, and curl -C and wget -c send. The registry in go-containerregistry,
# pkg/registry, against which clients are tested and which some serve images with, answers
# 416 to it, "We don't understand your Range": it knows "bytes=N-M" only. A client that
# takes 416 for "there is nothing beyond N", as RFC 9110 (15.5.17) has it, believes that it
# has the whole blob; one that cannot continue begins again for ever where the connection
# breaks off. With the size, which the manifest says, the end can be given.
#
# Seen with github.com/google/go-containerregistry v0.22.1.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOFLAGS=-mod=mod GOPATH="$dir/go" GOCACHE="$dir/cache"
cat >go.mod <<'M'
module example

go 1.24

require github.com/google/go-containerregistry v0.22.1
M
cat >main.go <<'G'
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	blob := bytes.Repeat([]byte("x"), 1000)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	res, err := http.Post(server.URL+"/v2/image/blobs/uploads/?digest="+digest, "application/octet-stream", bytes.NewReader(blob))
	if err != nil || res.StatusCode != http.StatusCreated {
		panic(fmt.Sprint(res, err))
	}
	for _, part := range []string{"bytes=400-999", "bytes=400-", "bytes=-600"} {
		req, _ := http.NewRequest(http.MethodGet, server.URL+"/v2/image/blobs/"+digest, nil)
		req.Header.Set("Range", part)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			panic(err)
		}
		n, _ := io.Copy(io.Discard, res.Body)
		if res.StatusCode != http.StatusPartialContent {
			n = 0
		}
		fmt.Println(part, res.StatusCode, n)
	}
}
G
go run . 2>/dev/null | tee result
diff - result <<'X' || { echo "this has changed"; exit 1; }
bytes=400-999 206 600
bytes=400- 416 0
bytes=-600 416 0
X
