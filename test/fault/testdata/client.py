#!/usr/bin/env python3
"""A writer of sessionstream/1, made from docs/PROTOCOL.md and the standard library.

It feeds a file to a session and appends the session's output to two files, while
its daemon may die at any moment, and while it leaves and comes back by itself in
every way that the protocol has. At the end it prints a report in JSON. It fails as
soon as the server breaks a promise.
"""

import argparse
import json
import os
import random
import select
import socket
import string
import struct
import sys
import time
from collections import Counter

PREAMBLE = b"bngrss/\x01"
CONTROL, STDIN, STDOUT, STDERR = range(4)
LIMITS = {CONTROL: 64 << 10, STDIN: 256 << 10, STDOUT: 1 << 20, STDERR: 1 << 20}
GOES_ON = {"unsupported", "closed", "ended"}  # the connection survives these errors
PATIENCE = 60  # seconds that the server may take for what it owes


class Lost(Exception):
    """The connection broke, or the daemon does not answer: come back."""


class Broken(Exception):
    """The server broke a promise."""


class Refused(Exception):
    """The server sent an error that ends the connection."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['text']}")
        self.code = error["code"]


class API:
    """The one request that is needed; how one gets a stream is known here only."""

    def __init__(self, path, vm, session):
        self.path = path
        head = f"POST /v1/vms/{vm}/sessions/{session}/attach HTTP/1.1", "Host: banger", "Connection: Upgrade", "Upgrade: banger-sessionstream"
        self.head = "\r\n".join(head + ("", "")).encode()

    def open(self):
        """Returns a socket, and what is to be sent on it before all else."""
        stream = socket.socket(socket.AF_UNIX)
        try:
            stream.connect(self.path)
        except OSError as e:
            stream.close()
            raise Lost(f"the API: {e}") from e
        return stream, self.head

    @staticmethod
    def take_answer(received):
        """Takes the answer off what was received, if all of its head is there."""
        head, end, _ = received.partition(b"\r\n\r\n")
        if not end:
            return False
        status = head.split(b" ", 2)[1]
        if status != b"101":
            raise (Lost if status >= b"500" else Broken)(f"the API: {bytes(received)}")
        if b"\r\nupgrade: banger-sessionstream" not in head.lower():
            raise Broken(f"the answer is {bytes(head)}")
        del received[: len(head) + len(end)]
        return True


class Connection:
    """The frames of one connection. Nothing blocks but step."""

    def __init__(self, stream, head):
        self.stream = stream
        stream.setblocking(False)
        self.incoming, self.outgoing = bytearray(), bytearray(head + PREAMBLE)
        self.answered = self.greeted = self.ended = self.finishing = False
        self.heard = time.monotonic()  # when something was received

    def control(self, kind, **members):
        self.frame(CONTROL, json.dumps({kind: members}).encode())

    def frame(self, channel, payload):
        self.outgoing += struct.pack(">BI", channel, len(payload)) + payload

    def step(self, timeout=PATIENCE):
        """Waits until something can be sent or received, does that, and tells if it did."""
        writable = [self.stream] if self.outgoing else []
        readable, writable, _ = select.select([self.stream], writable, [], timeout)
        if not readable and time.monotonic() - self.heard > PATIENCE:
            raise Broken(f"nothing has come for {PATIENCE} s")
        try:
            if writable:
                del self.outgoing[: self.stream.send(self.outgoing)]
            if self.finishing and not self.outgoing:
                self.stream.shutdown(socket.SHUT_WR)
                self.finishing = False
        except OSError:
            self.outgoing.clear()  # what was sent to us before is still there to be read
            if not readable:
                readable = [self.stream]
        if readable:
            try:
                received = self.stream.recv(64 << 10)
            except BlockingIOError:
                return True
            except OSError as e:
                raise Lost(str(e)) from e
            self.ended = not received
            self.incoming += received
            self.heard = time.monotonic()
        return bool(readable or writable)

    def frames(self):
        """Takes the whole frames that have come."""
        if not self.answered:
            self.answered = API.take_answer(self.incoming)
            if not self.answered:
                return
        if not self.greeted and len(self.incoming) >= len(PREAMBLE):
            if self.incoming[: len(PREAMBLE)] != PREAMBLE:
                raise Broken(f"the preamble is {bytes(self.incoming[:8])}")
            del self.incoming[: len(PREAMBLE)]
            self.greeted = True
        while self.greeted and len(self.incoming) >= 5:
            channel, length = struct.unpack_from(">BI", self.incoming)
            if channel not in LIMITS or not 0 < length <= LIMITS[channel]:
                raise Broken(f"a frame of {length} bytes on channel {channel}")
            if len(self.incoming) < 5 + length:
                return
            payload = bytes(self.incoming[5 : 5 + length])
            del self.incoming[: 5 + length]
            yield channel, payload

    def close(self):
        self.stream.close()


class Writer:
    """The attachment, over all its connections."""

    def __init__(self, api, data, out, err, between, leaves, ways, rng):
        self.api, self.data, self.rng = api, data, rng
        self.files = {STDOUT: out, STDERR: err}
        self.received = {channel: f.tell() for channel, f in self.files.items()}
        self.between, self.leaves = between, leaves  # seconds in the mean; how many are left
        self.ways = [getattr(self, way) for way in ways]
        self.id, self.known = None, False  # known: the attachment has been accepted once
        self.epoch = {}  # that in which positions count, once the server has said so
        self.accepted = 0  # bytes of stdin that the server has acknowledged
        self.sent = 0  # position in stdin of the next byte that this connection sends
        self.reached = 0  # as far as any connection has sent
        self.eof_sent = self.eof = False
        self.window, self.lease = 0, PATIENCE  # bytes, seconds
        self.exit = None
        self.left = Counter()
        self.connections = 0

    def run(self):
        connection = None
        while self.exit is None:
            try:
                connection = self.serve(connection or self.attach())
            except Lost:
                connection = None
                self.left["lost"] += 1
                time.sleep(self.rng.uniform(0.001, 0.03))
            except Refused as e:
                if e.code != "held":  # the last connection has not left yet
                    raise
                self.left["held"] += 1

    def serve(self, connection):
        """Serves a connection until it leaves, and returns the next if there is one."""
        until = float("inf")
        if self.leaves > 0:
            until = time.monotonic() + self.rng.choice([0, 1, 2, 3]) * self.between * 2 / 3
        try:
            while self.exit is None:
                self.feed(connection)
                if time.monotonic() >= until:
                    return self.leave(connection)
                self.receive(connection, until)
        finally:
            connection.close()

    def attach(self):
        connection = Connection(*self.api.open())
        self.connections += 1
        try:
            begin = {"stdout": self.received[STDOUT], "stderr": self.received[STDERR], **self.epoch}
            resume = {"resume": True} if self.known else {}
            if self.known and self.epoch:
                resume["stdin"] = {"offset": self.accepted, **self.epoch}
            name = {"attach_id": self.id} if self.id else {}
            connection.control("attach", role="writer", client="client.py", **name, **{"from": begin}, **resume)
            attached = self.first_control(connection)
            if self.id not in (None, attached["attach_id"]):
                raise Broken(f"attachment {self.id} is called {attached['attach_id']}")
            self.id = attached["attach_id"]
            output = attached["output"]
            if any(output[stream] != begin[stream] for stream in ("stdout", "stderr")):
                raise Broken(f"output begins at {output}, not at {begin}")
            self.epoch = {"epoch": output["epoch"]}
            if "stdin" not in attached:
                raise Broken("no stdin is granted, though nobody else has taken it")
            self.granted(attached["stdin"])
        except BaseException:
            connection.close()
            raise
        self.known = True
        return connection

    def first_control(self, connection):
        while True:
            for channel, payload in connection.frames():
                kind, members = self.parse(channel, payload)
                if kind == "error":
                    raise Refused(members)
                if kind != "attached":
                    raise Broken(f"the first control is {kind}")
                return members
            if connection.ended:
                raise Lost("the end before attached")
            connection.step()

    def parse(self, channel, payload):
        if channel != CONTROL:
            raise Broken(f"output before attached, on channel {channel}")
        ((kind, members),) = json.loads(payload).items()
        return kind, members

    def granted(self, stdin):
        offset = stdin["offset"]
        if not self.accepted <= offset <= self.reached:
            raise Broken(f"stdin is granted at {offset}, which is not between {self.accepted} and {self.reached}")
        self.accepted = self.sent = offset
        self.window, self.lease = stdin["window_bytes"], stdin["lease_ms"] / 1000
        self.eof, self.eof_sent = stdin["eof"], False

    def feed(self, connection):
        """Sends as much as the window allows, without waiting for anything."""
        if self.eof:
            return
        end = min(self.accepted + self.window, len(self.data))
        while self.sent < end:
            part = self.data[self.sent : min(end, self.sent + self.rng.randrange(1, LIMITS[STDIN]))]
            connection.frame(STDIN, part)
            self.sent += len(part)
            self.reached = max(self.reached, self.sent)
        if self.sent == len(self.data) and not self.eof_sent:
            connection.control("eof", offset=self.sent)
            self.eof_sent = True

    def receive(self, connection, until=float("inf")):
        """Takes what comes next; after the end of the stream the connection is lost."""
        wait = max(0, min(self.lease / 2, until - time.monotonic()))
        if not connection.step(wait) and time.monotonic() < until:
            connection.control("ping")
        for channel, payload in connection.frames():
            if channel in self.files:
                self.files[channel].write(payload)
                self.received[channel] += len(payload)
            else:
                self.obey(*self.parse(channel, payload))
        if connection.ended and self.exit is None:
            raise Lost("the end of the stream")

    def obey(self, kind, members):
        if self.exit is not None:
            raise Broken(f"{kind} comes behind exit")
        if kind == "stdin_ack":
            if not self.accepted <= members["offset"] <= self.sent:
                raise Broken(f"stdin is acknowledged up to {members['offset']}, not between {self.accepted} and {self.sent}")
            self.accepted, self.eof = members["offset"], members["eof"]
        elif kind == "exit":
            self.exit = members["state"]
        elif kind == "error" and members["code"] not in GOES_ON:
            raise Refused(members)
        elif kind in ("gap", "evicted"):
            raise Broken(f"{kind}: {members}")

    # Ways to leave. Each is followed by another connection at once, which it may return.

    def leave(self, connection):
        way = self.rng.choice(self.ways)
        for _ in range(self.rng.randrange(3)):  # some of what is sent is on its way
            if connection.outgoing:
                self.receive(connection)
        if self.exit is None:
            self.left[way.__name__] += 1
            self.leaves -= 1
            return way(connection)

    def close(self, connection):
        """No word: serve closes the socket."""

    def close_and_forget(self, connection):
        """The same attachment again, as if for the first time."""
        self.known = False

    def become_another(self):
        """By a name of its own, or one that the daemon makes up."""
        self.known = False
        self.id = "".join(self.rng.choices(string.ascii_letters + string.digits, k=20)) if self.rng.random() < 0.5 else None

    def close_for_another(self, connection):
        self.become_another()

    def detach_and_close(self, connection):
        connection.control("detach")
        while connection.outgoing:
            self.receive(connection)

    def detach_for_another(self, connection):
        connection.control("detach")
        self.read_to_the_end(connection)
        self.become_another()

    def finish_sending(self, connection):
        connection.finishing = True
        self.read_to_the_end(connection)

    def read_to_the_end(self, connection):
        try:
            while self.exit is None:
                self.receive(connection)
        except Lost:
            pass

    def come_twice(self, connection):
        """A second connection while the first is open: the first is ended, and once."""
        newer = self.attach()
        connection.outgoing.clear()
        try:
            while not connection.ended:
                for channel, payload in connection.frames():  # its output has come twice, too
                    if channel != CONTROL:
                        continue
                    kind, members = self.parse(channel, payload)
                    if kind == "error" and members["code"] != "replaced":
                        raise Refused(members)
                connection.step()
        except Lost:
            pass  # as when the daemon dies
        except BaseException:
            newer.close()
            raise
        return newer


WAYS = ["close", "close_and_forget", "close_for_another", "detach_and_close", "detach_for_another", "finish_sending", "come_twice"]


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--socket", required=True, help="of the daemon's API")
    flags.add_argument("--vm", required=True)
    flags.add_argument("--session", required=True)
    flags.add_argument("--input", required=True, help="what is fed to stdin")
    flags.add_argument("--stdout", required=True, help="to be appended to")
    flags.add_argument("--stderr", required=True, help="to be appended to")
    flags.add_argument("--leaves", type=int, default=0, help="how many times it leaves and comes back")
    flags.add_argument("--between", type=float, default=0.02, help="seconds between two leaves, in the mean")
    flags.add_argument("--ways", default=",".join(WAYS), help="in which it leaves")
    flags.add_argument("--seed", type=int, default=0)
    f = flags.parse_args()
    with open(f.input, "rb") as data, open(f.stdout, "ab", 0) as out, open(f.stderr, "ab", 0) as err:
        w = Writer(API(f.socket, f.vm, f.session), data.read(), out, err, f.between, f.leaves, f.ways.split(","), random.Random(f.seed))
        w.run()
    json.dump({"exit": w.exit, "connections": w.connections, "left": w.left}, sys.stdout)


if __name__ == "__main__":
    try:
        main()
    except (Broken, Refused) as e:
        sys.exit(f"{os.path.basename(__file__)}: {e}")
