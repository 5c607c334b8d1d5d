#!/bin/sh
# The client of a language server gives its process id in initialize, so that the server
# can exit when the client has died. vscode-languageserver asks every three seconds with
# process.kill(pid, 0), and takes every error for the client's death. A client that lives but
# belongs to another user gives EPERM: kill(2) says by it that the process is there. So the
# server exits with status 1 some seconds after a session that has begun well, and nothing
# is printed. That happens to servers started with sudo -u or setpriv; and in a container or
# a virtual machine, where the pid means nobody (ESRCH). A client has to send null there.
#
# Seen with typescript-language-server 6.0.2 (typescript 5.9.3) on Node 20: exit status 1
# with the pid of a living process of another user; it runs on with a process of its own
# user, and with null.
# Needs root, to be two users.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" typescript-language-server@6.0.2 typescript@5.9.3 >/dev/null
node --version
cat >client.mjs <<'J'
import { spawn } from "node:child_process";

const [kind] = process.argv.slice(2);
const nobody = 65534;
const other = spawn("sleep", ["60"]); // a living process of root
const own = spawn("sleep", ["60"], { uid: nobody, gid: nobody });
const pid = { other: other.pid, own: own.pid, none: null }[kind];
const server = spawn("node", ["node_modules/typescript-language-server/lib/cli.mjs", "--stdio"], { uid: nobody, gid: nobody, env: { PATH: process.env.PATH, HOME: "/nonexistent" } });
const send = (message) => {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
};
let answered = false;
let said = "";
server.stdout.on("data", (data) => {
  said += data;
  if (!answered && said.includes('"id":1')) {
    answered = true;
    send({ method: "initialized", params: {} });
  }
});
send({ id: 1, method: "initialize", params: { processId: pid, rootUri: null, capabilities: {} } });
const limit = setTimeout(() => end("runs on"), 15000); // five of its looks
server.on("exit", (status) => end(`exits with ${status}`));
function end(what) {
  clearTimeout(limit);
  console.log(`${kind}: initialize ${answered ? "answered" : "not answered"}, ${what}`);
  for (const child of [other, own, server]) child.kill("SIGKILL");
  process.exit(0);
}
J
for kind in other own none; do node client.mjs "$kind"; done | tee result
diff - result <<'X' || { echo "this has changed"; exit 1; }
other: initialize answered, exits with 1
own: initialize answered, runs on
none: initialize answered, runs on
X
