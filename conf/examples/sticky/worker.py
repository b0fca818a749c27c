"""Is given connections, and says who it is to each.

A message with a descriptor is a line {"cmd":"NODE_HANDLE","type":"net.Socket","msg":...}; its
descriptor comes with the first byte of the line.  Who has got it says so.
"""
import base64
import json
import os
import socket
import sys

channel = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
channel.set_inheritable(False)
rest, descriptors = b"", []


def greet(message, descriptor):
    said = base64.b64decode(message["rest"]).decode().strip()
    with socket.socket(fileno=descriptor) as connection:
        connection.sendall(("%s greets %s, who said %s\n" % (sys.argv[1], message["name"], said)).encode())


while True:
    data, more, _, _ = socket.recv_fds(channel, 65536, 16)
    if not data:
        break
    descriptors += more
    *lines, rest = (rest + data).split(b"\n")
    for line in lines:
        handle = json.loads(line)
        if handle.get("cmd") == "NODE_HANDLE":
            channel.sendall(b'{"cmd":"NODE_HANDLE_ACK"}\n')
            greet(handle["msg"]["msg"], descriptors.pop(0))
