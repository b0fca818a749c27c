#!/bin/sh
# A worker in sh: a line a second.
echo "shell at work for $FLEET"
while :; do
    date '+shell is alive at %H:%M:%S'
    sleep 1
done
