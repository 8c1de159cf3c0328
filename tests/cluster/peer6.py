#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Both ends of the checks of t_ipv6.sh, over either family.

peer6.py serve NAME PORT         answers TCP and UDP with "NAME sees ADDRESS"
peer6.py ask tcp|udp HOST PORT   prints the answer; exit 0 if there was one, 1 if nobody answered, 2 if refused
peer6.py raw KIND SOURCE HOST PORT
                                 the same question over UDP in an IPv6 packet made by hand: with "fragments",
                                 "options" (hop-by-hop and destination), "routing" (an unknown header), and
                                 "first" (a fragment without the rest, which nobody may answer)
"""
import os
import socket
import struct
import sys
import threading

WAIT_S = float(os.environ.get("WAIT_S", "1.5"))


def plain(address):
    return address[7:] if address.startswith("::ffff:") else address


def serve(name, port):
    def one(conn, peer):
        with conn:
            conn.settimeout(5)
            conn.sendall(f"{name} sees {plain(peer[0])}\n".encode())

    def udp():
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        s.bind(("::", port))
        while True:
            _, info, _, peer = s.recvmsg(65536, 256)
            # from the address that was asked, as a host with many must
            s.sendmsg([f"{name} sees {plain(peer[0])}\n".encode()], info, 0, peer)

    t = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    t.bind(("::", port))
    t.listen(64)
    threading.Thread(target=udp, daemon=True).start()
    while True:
        threading.Thread(target=one, args=t.accept(), daemon=True).start()


def ask(kind, host, port):
    info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)[0]
    with socket.socket(*info[:3]) as s:
        s.settimeout(WAIT_S)
        s.connect(info[4])
        if kind == "udp":
            s.send(b"?")
        text = s.recv(512).decode()
        print(text, end="")
        return 0 if text else 1


def checksum(data):
    data += b"\0" * (len(data) % 2)
    n = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while n >> 16:
        n = (n & 0xFFFF) + (n >> 16)
    return ~n & 0xFFFF or 0xFFFF


def raw(kind, source, host, port):
    src, dst = (socket.inet_pton(socket.AF_INET6, a) for a in (source, host))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as answers:
        answers.bind((source, 0))
        answers.settimeout(WAIT_S)
        body = b"x" * 400
        udp = struct.pack("!HHHH", answers.getsockname()[1], port, 8 + len(body), 0) + body
        sum_ = checksum(src + dst + struct.pack("!II", len(udp), 17) + udp)
        udp = udp[:6] + struct.pack("!H", sum_) + udp[8:]
        pad = bytes([1, 4, 0, 0, 0, 0])  # PadN
        if kind == "options":
            parts = [(0, bytes([60, 0]) + pad + bytes([17, 0]) + pad + udp)]
        elif kind == "routing":
            parts = [(43, bytes([17, 0, 253, 0, 0, 0, 0, 0]) + udp)]  # no segments left: to be ignored
        else:
            ident = int.from_bytes(os.urandom(4), "big")
            parts = [(44, struct.pack("!BBHI", 17, 0, 1, ident) + udp[:200]),
                     (44, struct.pack("!BBHI", 17, 0, 200, ident) + udp[200:])]
            if kind == "first":
                parts.pop()
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
            for proto, payload in parts:
                head = struct.pack("!IHBB", 6 << 28, len(payload), proto, 64) + src + dst
                out.sendto(head + payload, (host, 0))
        print(answers.recv(512).decode(), end="")
        return 0


if __name__ == "__main__":
    try:
        if sys.argv[1] == "serve":
            serve(sys.argv[2], int(sys.argv[3]))
        elif sys.argv[1] == "ask":
            sys.exit(ask(sys.argv[2], sys.argv[3], int(sys.argv[4])))
        elif sys.argv[1] == "raw":
            sys.exit(raw(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])))
    except ConnectionRefusedError:
        print("refused")
        sys.exit(2)
    except OSError as e:
        print(f"no answer: {e}")
        sys.exit(1)
