#!/bin/sh
# Says it to all until three have got it: {"from":"$","re":1,"ok":3}
n=0
while :; do
    n=$((n + 1))
    printf '{"to":"@listeners","id":%d,"ack":true,"msg":{"news":%d}}\n' "$n" "$n" >&3
    read -r answer <&3 || exit 0
    case $answer in
    *'"ok":3}') break ;;
    esac
    sleep 0.1
done
printf '{"reached":3,"after":%d}\n' "$n" >&3
while read -r answer <&3; do :; done
