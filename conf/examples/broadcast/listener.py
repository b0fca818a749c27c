import json
import os
import socket

channel = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
channel.set_inheritable(False)
for line in channel.makefile(encoding="utf-8"):
    m = json.loads(line)
    heard = {"python": "has heard", "news": m["msg"]["news"], "from": m["from"]}
    channel.sendall(json.dumps(heard).encode() + b"\n")
