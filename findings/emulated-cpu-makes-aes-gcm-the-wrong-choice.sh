#!/bin/sh
# An emulated x86 CPU says that it has what makes AES-GCM fast (aes and pclmulqdq), so
# programs prefer AES-GCM to ChaCha20-Poly1305, as on hardware; Go's crypto/tls and
# x/crypto/ssh do. Emulated, the carry-less multiplication of GHASH is a
# loop over bits. AES-GCM is then slower than the cipher that was passed over
# because of those two flags: whoever speaks TLS or SSH with an emulated guest should name
# ChaCha20-Poly1305.
#
# Seen with QEMU 7.2 (qemu-user 1:7.2+dfsg-7 of Debian 12), Go 1.26 and x/crypto 0.48.0.
# Natively AES-GCM took 0.3 of the time of ChaCha20-Poly1305, emulated 1.7 to 2.4 times as long.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -q qemu-user >/dev/null
dpkg -x qemu-user*.deb .
dpkg-deb -f qemu-user*.deb Version
cat >main.go <<'GO'
package main

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/cpu"
)

func took(a cipher.AEAD) time.Duration {
	nonce, data, out := make([]byte, 12), make([]byte, 32<<10), make([]byte, 0, 33<<10)
	best := time.Hour
	for range 5 {
		start := time.Now()
		for range 16 {
			a.Seal(out, nonce, data, nil)
		}
		best = min(best, time.Since(start))
	}
	return best
}

func main() {
	block, _ := aes.NewCipher(make([]byte, 16))
	gcm, _ := cipher.NewGCM(block)
	chacha, _ := chacha20poly1305.New(make([]byte, 32))
	fmt.Printf("aes %v, pclmulqdq %v: AES-GCM takes %.1f times as long as ChaCha20-Poly1305\n",
		cpu.X86.HasAES, cpu.X86.HasPCLMULQDQ, float64(took(gcm))/float64(took(chacha)))
}
GO
cat >go.mod <<'MOD'
module gcm

go 1.26

require (
	golang.org/x/crypto v0.48.0
	golang.org/x/sys v0.41.0
)
MOD
go mod tidy >/dev/null 2>&1
CGO_ENABLED=0 go build -o gcm .
echo "natively: $(./gcm)"
usr/bin/qemu-x86_64 -cpu max ./gcm | tee seen
grep -q '^aes true, pclmulqdq true' seen || { echo "this has changed"; exit 1; }
slower=$(sed "s/.*takes \([0-9]*\)[.]\([0-9]\).*/\1\2/" seen) # in tenths
[ "$slower" -gt 12 ] || { echo "this has changed"; exit 1; }
