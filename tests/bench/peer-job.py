"""peer-job.py DIRECTORY NUMBER - prints numbered lines until DIRECTORY/quiet is there, and keeps account of them.

run.NUMBER.PID in the directory has how many lines this run has written, whatever has become of them since.  USR1 ends
it with status 37.
"""
import os
import signal
import sys
import time

directory, number = sys.argv[1], int(sys.argv[2])
account = os.open("%s/run.%d.%d" % (directory, number, os.getpid()), os.O_WRONLY | os.O_CREAT, 0o644)
signal.signal(signal.SIGUSR1, lambda *_: os._exit(37))
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
written = 0
while True:
    if os.path.exists(directory + "/quiet"):
        time.sleep(0.02)
        continue
    os.write(1, b"%d %d %d\n" % (number, os.getpid(), written + 1))
    written += 1
    os.pwrite(account, b"%d" % written, 0)
    time.sleep(0.005)
