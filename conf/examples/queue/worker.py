"""One of a pool: reads a job, writes its answer to whoever has sent it."""
import json
import os
import socket
import time

channel = socket.socket(fileno=int(os.environ["DROVER_CHANNEL_FD"]))
channel.set_inheritable(False)

for line in channel.makefile(encoding="utf-8"):
    job = json.loads(line)
    if "id" in job:
        time.sleep(0.05)  # so that it is work
        answer = {"to": job["from"], "re": job["id"], "msg": job["msg"]["square"] ** 2}
        channel.sendall(json.dumps(answer).encode() + b"\n")
