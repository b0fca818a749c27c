#!/bin/sh
# In sh: passes what it hears on to Node, with its own name behind it.
channel=$DROVER_CHANNEL_FD
while read -r line; do
    text=$(printf '%s\n' "$line" | sed -n 's/^.*"msg":"\(.*\)"}$/\1/p')
    [ -z "$text" ] || echo "{\"to\":\"node\",\"msg\":\"$text > sh\"}" >&"$channel"
done <&"$channel"
