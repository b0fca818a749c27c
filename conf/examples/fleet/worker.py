"""A worker in Python: its number comes from the command line, its end from SIGTERM."""
import signal
import sys
import time

number = int(sys.argv[1])


def end(signum, frame):
    print("worker %d says goodbye" % number)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
print("worker %d at work" % number)
job = 0
while True:
    job += 1
    print("worker %d has done job %d" % (number, job))
    time.sleep(0.5)
