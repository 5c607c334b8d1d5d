#!/bin/sh
# Restoring the cursor (ESC 8, DECRC) before anything has saved one brings a terminal to
# its defaults; terminals of xterm's family print as before. libvterm restores a pen that
# was never set: black text on black. Programs do this in good faith, at their start or
# when they leave, and the emulator of many editors' terminals shows nothing until the
# next reset of colours.
#
# Seen with libvterm 0.1.4-1 of Debian 12, by its own unterm.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -q libvterm0=0.1.4-1 libvterm-bin=0.1.4-1 >/dev/null
for package in *.deb; do dpkg -x "$package" .; done
LD_LIBRARY_PATH=$(find "$dir" -name 'libvterm.so*' -printf '%h:' | tr -s :)
export LD_LIBRARY_PATH
printf '\0338text\r\n' >in
usr/bin/unterm -c 20 -l 2 -f sgr in | head -1 >seen
esc=$(printf '\033')
sed "s/$esc/ESC/g" seen
grep -q "$esc\[38;2;0;0;0;48;2;0;0;0mtext" seen || { echo "this has changed"; exit 1; }
