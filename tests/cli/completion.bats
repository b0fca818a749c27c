#!/usr/bin/env bats
# The completions know every verb, and bash's finds live names.

load helpers

setup_file() {
    start_daemon "$(fleet)"
}

teardown_file() {
    stop_daemon
}

verbs() {
    ctl help | tail -n +4
    echo help
}

# complete_words PROGRAM WORD...: what bash would offer for the last of them.
complete_words() {
    PATH=$BUILD:$PATH bash -c '
        source "$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        "_$1"
        printf "%s\n" "${COMPREPLY[@]}"' bash "$ROOT/conf/completion/$1.bash" "$@"
}

# The options of droverd for people, long and short, as it tells them itself.
options() {
    "$DROVERD" -h | sed -n 's/^  \(-[a-z],\)\{0,1\} *\(--[a-z_-]*\).*/\1 \2/p' | tr -d , | tr -s ' ' '\n' | grep . |
        grep -vx -- --check-state
}

@test "bash offers every verb" {
    for verb in $(verbs); do
        complete_words droverctl "$verb" | grep -qx "$verb" || {
            echo "$verb"
            return 1
        }
    done
}

@test "zsh describes every verb, and none that there is not" {
    [ "$(sed -n "s/^        '\([a-z]*\):.*/\1/p" "$ROOT/conf/completion/_droverctl")" = "$(verbs | xargs -n 1 | sort)" ]
}

# offers WORDS WORD...: completion gives these words; it may be given none by a daemon that is too slow for it.
offers() {
    local wanted=$1
    shift
    [ "$(complete_words "$@" | xargs)" = "$wanted" ]
}

@test "bash finds the names that the daemon has now" {
    wait_until offers quiet droverctl -c "$CONF" stop q
    wait_until offers 'web:* web:web_00 web:web_01' droverctl -c "$CONF" stop web
    wait_until offers web droverctl -c "$CONF" update w
    wait_until offers HUP droverctl -c "$CONF" signal HU
    wait_until offers --json droverctl -c "$CONF" status --js
    wait_until offers --eof droverctl -c "$CONF" write --e
    wait_until offers --trace droverctl -c "$CONF" ipc --t
    wait_until offers --fd droverctl -c "$CONF" logs --fd
    [ -z "$(complete_words droverctl -c "$CONF" stop zz)" ]
}

@test "droverd's options are all offered, by both shells" {
    [ "$(options | wc -l)" -gt 40 ]
    for option in $(options); do
        complete_words droverd "$option" | grep -qx -- "$option" && grep -q -- "[{,']${option}[],}=[]" \
            "$ROOT/conf/completion/_droverd" || {
            echo "$option"
            return 1
        }
    done
}

@test "droverd's keys, levels and files" {
    [ "$(complete_words droverd --help-config = startr)" = startretries ]
    [ "$(complete_words droverd -e w)" = warn ]
    cd "$ROOT/conf" || return
    [ "$(complete_words droverd -t -c drover.c)" = drover.conf ]
}
