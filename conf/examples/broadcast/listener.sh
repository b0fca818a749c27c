#!/bin/sh
while read -r line <&3; do
    news=${line##*\"news\":}
    printf '{"sh":"has heard","news":%s,"from":"speaker"}\n' "${news%%\}*}" >&3
done
