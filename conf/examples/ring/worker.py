"""In Python: passes what it hears on to C, with its own name behind it."""
import json
import os
import socket

channel = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
channel.set_inheritable(False)
for line in channel.makefile(encoding="utf-8"):
    message = json.loads(line)
    if "msg" in message:
        answer = {"to": "c", "msg": message["msg"] + " > python"}
        channel.sendall(json.dumps(answer).encode() + b"\n")
