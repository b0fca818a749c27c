#!/usr/bin/env bats
# What droverctl has beyond supervisorctl: --json, patterns, --quiet, show, why, events, logs; the shell.

# shellcheck disable=SC2030,SC2031 # each test is a subshell, and means to be one
load helpers

setup_file() {
    start_daemon "$(fleet)"
    wait_until has_printed 1
}

teardown_file() {
    stop_daemon
}

# query EXPRESSION: of the JSON on standard input, which is d.
query() {
    python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}

@test "patterns name processes" {
    run ctl status 'w*:*_01'
    [ "$status" -eq 0 ]
    [[ $output == web:web_01* ]]
    expect 0 'web:web_01: stopped' stop 'w*:*_0[1-9]'
    expect 0 'web:web_01: started' start '*:web_01'
    expect 4 'zz*: ERROR (no such process)' status 'zz*'
    expect 1 'zz*: ERROR (no such process)' start 'zz*'
    expect 0 '' start 'w*:*'
}

# hint WORDS VERB...: what is said beside an error, on standard error; once.
hint() {
    local words=$1
    shift
    [ "$(ctl "$@" 2>&1 >/dev/null)" = "$words" ] || {
        ctl "$@"
        return 1
    }
}

@test "a name or a verb that is nearly right is named" {
    hint 'web is a group; write web:* for all of it, or web:web_00' restart web
    hint 'did you mean web:*' status we
    hint 'did you mean web:*' start 'webb:*'
    hint 'did you mean web:web_01' stop web_01
    hint 'did you mean missing' start missign
    hint 'tail takes the name of one process, such as web:web_00' tail web
    hint 'send takes the name of one process, such as web:web_00' send 'web:*' 1
    hint 'did you mean status; help lists the verbs' stauts
    hint 'help lists the verbs' frobnicate
    hint '' start nothing-like-it
    hint '' --quiet start web
}

@test "help fits into 80 columns" {
    for verb in $(ctl help | tail -n +4); do
        [ -z "$(ctl help "$verb" | awk 'length > 80')" ] || {
            ctl help "$verb"
            return 1
        }
    done
}

@test "status --json" {
    run ctl status --json up down
    [ "$status" -eq 3 ]
    [ "$(query '[(p["name"], p["statename"]) for p in d["processes"]]' <<<"$output")" = "[('up', 'RUNNING'), ('down', 'STOPPED')]" ]
    [ "$(ctl --json status | query 'len(d["processes"])')" = 9 ]
}

@test "results --json" {
    run ctl stop --json down nope
    [ "$status" -eq 1 ]
    [ "$(query '[r["ok"] for r in d["results"]]' <<<"$output")" = "[False, False]" ]
    [ "$(query '[r["error"]["fault"] for r in d["results"]]' <<<"$output")" = "['NOT_RUNNING', 'BAD_NAME']" ]
}

@test "--json for the other verbs is JSON" {
    for verb in 'pid' 'pid up' 'version' 'avail' 'reread' 'update' 'signal CONT up' 'clear down' 'tail up' 'maintail' \
        'show' 'show up' 'why up' 'add up' 'remove nope' 'tail nope'; do
        # shellcheck disable=SC2086
        ctl $verb --json 2>/dev/null | python3 -c 'import json, sys; json.load(sys.stdin)' || {
            echo "$verb"
            return 1
        }
    done
    ctl logs up --json | while read -r one; do query 'd["line"]' <<<"$one"; done
}

@test "--quiet prints errors only" {
    expect 3 '' status --quiet up down
    expect 0 'up: ERROR (already started)' --quiet start up
    expect 0 '' signal --quiet CONT up
}

@test "--no-wait" {
    expect 0 'down: starting' start --no-wait down
    wait_until runs down
    expect 0 'down: stopping' stop --no-wait down
    wait_until rests down
}

runs() {
    [ "$(ctl pid "$1")" != 0 ]
}

rests() {
    [ "$(ctl pid "$1")" = 0 ]
}

@test "show and why" {
    run ctl show up
    [ "$status" -eq 0 ]
    [[ $output == up$'\n'* ]]
    [[ $output == *command*d.conf:* ]]
    run ctl show
    [[ $output == droverd* ]]
    run ctl why up
    [ "$status" -eq 0 ]
    [[ $output == up:* ]]
    expect 4 'nope: ERROR (no such process)' show nope
    expect 4 'nope: ERROR (no such process)' why nope
}

@test "events" {
    ctl restart down >/dev/null
    ctl stop down >/dev/null
    run ctl events down
    [ "$status" -eq 0 ]
    seq=$(tail -n 1 <<<"$output" | query 'd["seq"]')
    [ "$(tail -n 1 <<<"$output" | query 'd["process"]')" = down:down ]
    grep -q '"event":"exit"' <<<"$output"
    run ctl events --since "$seq"
    [ -z "$output" ]
    expect_usage 2 'Error: bad argument --since' events --since
    expect_usage 2 'Error: bad argument --sincere' events --sincere 5
    expect 1 'nope: ERROR (no such process)' events nope
    expect 0 '' events --since "$seq" nope
}

@test "events -f goes on with what happens" {
    coproc CTL { exec "$DROVERCTL" -c "$CONF" events -f down 3>&-; }
    pid=$CTL_PID # the shell forgets it when the process has ended
    wait_until start_and_see
    kill -INT "$pid"
    wait "$pid"
}

start_and_see() {
    ctl restart down >/dev/null
    local event seen=0
    while [ "$seen" -lt 20 ] && read -r -t 1 event <&"${CTL[0]}"; do
        [ "$(query 'd["event"]' <<<"$event")" != exit ] || return 0
        seen=$((seen + 1))
    done
    return 1
}

@test "logs" {
    run ctl logs up
    [ "$status" -eq 0 ]
    grep -qx 'up | to stdout' <<<"$output"
    grep -qx 'up ! to stderr' <<<"$output"
    run ctl logs -n 0 up
    [ -z "$output" ]
    run ctl logs -n 1 up 'web:*'
    [ "$output" = $'up         | to stdout\nup         ! to stderr' ]
    expect 4 'nope: ERROR (no such process)' logs nope
    expect_usage 2 'Error: logs requires a process name' logs
    expect_usage 2 'Error: bad time soon; say 10m, 08:30 or 2031-05-17T08:30:00Z' logs --since soon up
    expect_usage 2 'Error: -n and --since do not go together' logs --since 10m -n 1 up
    run ctl logs --since 10m up
    [ "$status" -eq 1 ]
    grep -qx 'up: ERROR (no line of its log has a time: set log_format to timestamp or json, or take -n)' <<<"$output"
}

@test "logs says which there are" {
    expect 1 'up: ERROR (no log file; descriptor 9 is no pipe of its stdio, these are: 1, 2)' logs --fd 9 up
    expect 1 'quiet: ERROR (no log file; its stderr_logfile is NONE)' logs --fd 2 quiet
    expect 1 'quiet: ERROR (no log file; its stdout_logfile is NONE)' logs quiet
    expect 1 'quiet: ERROR (no log file; its stdout_logfile is NONE)' logs --since 10m quiet
    expect_usage 1 'quiet: ERROR (no log file; its stdout_logfile is NONE)' logs -n 1 quiet up
    expect 0 '' logs down # nothing yet
    expect_usage 2 'Error: bad descriptor x; say a number from 1 to 63' logs --fd x up
    expect_usage 2 'Error: bad descriptor 64; say a number from 1 to 63' logs --fd 64 up
    expect_usage 2 'Error: bad descriptor (nothing); say a number from 1 to 63' logs up --fd
    expect_usage 2 'Error: bad number of lines many; say 0 or more' logs -n many up
}

@test "an option that no verb has is no name of a process" {
    local pid
    pid=$(ctl pid up)
    expect_usage 2 'Error: bad argument --no-wiat' restart --no-wiat up
    expect_usage 2 'Error: bad argument --wait=soon' stop --wait=soon up
    expect_usage 2 'Error: bad argument --all' status --all
    expect_usage 2 'Error: upgrade accepts one program' upgrade one two
    [ "$(ctl pid up)" = "$pid" ]
}

@test "logs -f follows several processes line by line" {
    coproc CTL { exec "$DROVERCTL" -c "$CONF" logs -f -n 0 up cat 3>&-; }
    pid=$CTL_PID # the shell forgets it when the process has ended
    wait_until echo_and_see
    kill -INT "$pid"
    wait "$pid"
}

echo_and_see() {
    echo ping | ctl fg cat >/dev/null
    local text
    read -r -t 1 text <&"${CTL[0]}" && [ "$text" = 'cat | ping' ]
}

@test "tail -f ends with Ctrl-C and status 0" {
    coproc CTL { exec "$DROVERCTL" -c "$CONF" tail -f up 3>&-; }
    pid=$CTL_PID # the shell forgets it when the process has ended
    read -r -t 60 banner <&"${CTL[0]}"
    [ "$banner" = '==> Press Ctrl-C to exit <==' ]
    read -r -t 60 text <&"${CTL[0]}"
    [ "$text" = 'to stdout' ]
    kill -INT "$pid"
    wait "$pid"
}

@test "the shell goes on after errors and ends with 0" {
    run "$DROVERCTL" -c "$CONF" <<<$'nope\npid nope\nstatus down\nquit\npid'
    [ "$status" -eq 0 ]
    [[ $output == *'supervisor> *** Unknown syntax: nope'* ]]
    [[ $output == *'supervisor> No such process nope'* ]]
    [[ $(tail -n 1 <<<"$output") == 'supervisor> ' ]]
}

@test "a terminal never gets a control character from a job" {
    command -v script >/dev/null || skip "script(1) is not installed"
    printf 'red \033[31m bell \a c1 \302\233 end\n' | ctl fg cat >/dev/null
    wait_until said_end
    script -qec "'$DROVERCTL' -c '$CONF' tail -40 cat" /dev/null >"$DIR/typed" </dev/null
    grep -qF 'red \u001b[31m bell \u0007 c1 \u009b end' "$DIR/typed"
    ctl tail -40 cat | grep -qF $'\033[31m'
}

said_end() {
    ctl tail cat | grep -q 'end$'
}
