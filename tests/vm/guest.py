#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command in a virtual machine through the QEMU guest agent, which works without the guest's network.

guest.py SOCKET COMMAND...: what this reads from standard input becomes the command's; its output and exit
status become ours. 255 when the machine does not answer.
"""
import base64
import fcntl
import json
import os
import socket
import sys
import time

ANSWER_S = 10  # for one request; the guest is emulated
SILENT = 255


class NoAnswer(Exception):
    pass


def request(machine, command, **arguments):
    """One request, one reply. The agent serves one connection at a time: others wait at the lock."""
    with open(machine + ".lock", "w") as lock, socket.socket(socket.AF_UNIX) as s:
        fcntl.flock(lock, fcntl.LOCK_EX)
        s.settimeout(ANSWER_S)
        try:
            s.connect(machine)
            replies = s.makefile("rb")
            # 0xff ends what an earlier client may have left half sent; replies to it are passed over
            number = time.monotonic_ns() & 0x7FFFFFFF
            send(s, "guest-sync", {"id": number}, b"\xff")
            while reply(replies).get("return") != number:
                pass
            send(s, command, arguments)
            answer = reply(replies)
        except OSError as e:
            raise NoAnswer(str(e)) from e
    if "return" not in answer:
        raise NoAnswer(answer.get("error", {}).get("desc", "no reply"))
    return answer["return"]


def send(s, command, arguments, before=b""):
    s.sendall(before + json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")


def reply(replies):
    line = replies.readline()
    if not line:
        raise NoAnswer("the connection was closed")
    try:
        return json.loads(line.lstrip(b"\xff"))
    except ValueError:
        return {}


def run(machine, command, data):
    pid = request(machine, "guest-exec", path="/usr/bin/env", arg=["-C", "/var/local", "HOME=/var/local", *command],
                  **{"input-data": base64.b64encode(data).decode(), "capture-output": True})["pid"]
    pause = 0.05
    while True:
        time.sleep(pause)
        state = request(machine, "guest-exec-status", pid=pid)
        if state["exited"]:
            break
        pause = min(pause * 1.5, 0.5)  # asking costs the guest time
    for stream, key in ((sys.stderr, "err-data"), (sys.stdout, "out-data")):
        stream.buffer.write(base64.b64decode(state.get(key, "")))
        stream.flush()
    return state["exitcode"] if "exitcode" in state else 128 + state.get("signal", 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        stdin = b"" if os.isatty(0) else sys.stdin.buffer.read()
        sys.exit(run(sys.argv[1], sys.argv[2:], stdin))
    except NoAnswer as e:
        print(f"guest.py: {sys.argv[1]}: {e}", file=sys.stderr)
        sys.exit(SILENT)
