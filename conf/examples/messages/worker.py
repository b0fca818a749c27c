"""A worker in Python: one JSON text a line, in both directions."""
import json
import os
import socket

channel = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
channel.set_inheritable(False)  # programs that this one starts must not hold it


def send(message):
    channel.sendall(json.dumps(message).encode() + b"\n")


send({"ready": "python"})
for line in channel.makefile(encoding="utf-8"):
    message = json.loads(line)
    if isinstance(message, dict) and "id" in message:
        send({"re": message["id"], "msg": {"worker": "python", "heard": message.get("msg")}})
print("the supervisor has closed the channel")
