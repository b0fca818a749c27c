#!/bin/sh
# A worker in sh: reads lines, writes lines.  It looks for the number of a question and repeats
# what it was asked; take jq for more than that.
channel=$DROVER_CHANNEL_FD

echo '{"ready":"sh"}' >&"$channel"
while read -r line; do
    # {"from":"$","id":7,"msg":...}
    id=$(printf '%s\n' "$line" | sed -n 's/^{"from":"[^"]*","id":\([0-9]*\),"msg":.*}$/\1/p')
    [ -n "$id" ] || continue
    heard=$(printf '%s\n' "$line" | sed 's/^{"from":"[^"]*","id":[0-9]*,"msg":\(.*\)}$/\1/')
    printf '{"re":%s,"msg":{"worker":"sh","heard":%s}}\n' "$id" "$heard" >&"$channel"
done <&"$channel"
echo "the supervisor has closed the channel"
