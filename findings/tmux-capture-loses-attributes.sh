#!/bin/sh
# What "tmux capture-pane -e" prints is not what the pane shows. Overline (SGR 53) comes
# out as 5:3, a sub-parameter of "blink" that terminals take for nothing or for blinking;
# and the background of cells that were erased with a colour set behind the end of a row's
# text (CSI K with background colour erase, as every full-screen program draws its bars)
# is left out, with -N as well, which is to keep blanks at the end. So a screen that is
# kept as captured text lacks bars and lines.
#
# Seen with tmux 3.3a-3 of Debian 12.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -q tmux=3.3a-3 libevent-core-2.1-7=2.1.12-stable-8 libutempter0 libtinfo6 >/dev/null
for package in *.deb; do dpkg -x "$package" .; done
LD_LIBRARY_PATH=$(find "$dir" -name 'lib*.so*' -printf '%h:' | tr -s :)
export LD_LIBRARY_PATH LC_ALL=C.UTF-8
tmux() { "$dir/usr/bin/tmux" -S "$dir/s" -f /dev/null "$@"; }
tmux -V
mkfifo drawn
tmux new-session -d -x 40 -y 5 \
	"printf '\\033[53mover\\033[0m\\r\\n\\033[44mab\\033[K\\033[0m\\r\\nend'; echo >'$dir/drawn'; exec sleep 60"
read -r _ <drawn
for _ in 1 2 3 4 5 6 7 8 9 10; do # the pane is read by the server when it comes to that
	[ "$(tmux capture-pane -p | tail -n +3 | head -1)" = end ] && break
	sleep 0.2
done
tmux capture-pane -p -e | head -2 >seen
tmux capture-pane -p -e -N | sed -n 2p >bar
tmux kill-server
esc=$(printf '\033')
sed "s/$esc/ESC/g" seen bar
if ! grep -q "$esc\[5:3mover" seen || grep -q "ab  " seen || grep -q "$esc\[44mab   " bar; then
	echo "this has changed"
	exit 1
fi
