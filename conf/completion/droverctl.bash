# droverctl.bash - completion of verbs, options and live names for bash.
# shellcheck shell=bash

# What the daemon calls its processes and groups now; nothing when it does not answer.
__droverctl_names() {
    local options=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -c | -s | -u | -p)
            options+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
            ;;
        esac
    done
    timeout 2 droverctl "${options[@]}" status 2>/dev/null </dev/null | awk -v groups="$1" '
        $2 !~ /^(STOPPED|STARTING|RUNNING|BACKOFF|STOPPING|EXITED|FATAL|UNKNOWN)$/ { next }
        {
            n = split($1, part, ":")
            if (n > 1 && !(part[1] in seen)) {
                seen[part[1]] = 1
                print groups ? part[1] : part[1] ":*"
            }
            if (!groups || n == 1)
                print $1
        }'
}

# The verb on the command line, if there is one before the word at hand.
__droverctl_verb() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -c | -s | -u | -p | -r | --configuration | --serverurl | --username | --password | --history-file)
            i=$((i + 1))
            ;;
        -*) ;;
        *)
            echo "${COMP_WORDS[i]}"
            return
            ;;
        esac
    done
}

_droverctl() {
    local verbs="add avail clear disconnect events exit fg help ipc logs maintail messages open pid quit reload remove reopen
        reread restart run runs send show shutdown signal start status stop tail update upgrade version why
        write"
    local flags="-c -s -u -p -r -i -h --configuration --serverurl --username --password --history-file
        --interactive --help --version --json --quiet --wait --no-wait"
    local anywhere="--json --quiet --wait --no-wait"
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words verb
    # names hold colons, at which readline would cut
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n : cur prev
    fi
    COMPREPLY=()
    case $prev in
    -c | --configuration | -r | --history-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    -s | --serverurl)
        mapfile -t COMPREPLY < <(compgen -W "unix:// http://" -- "$cur")
        return
        ;;
    -u | -p | --username | --password)
        return
        ;;
    esac
    verb=$(__droverctl_verb)
    case $verb in
    "") words="$verbs $flags" ;;
    help) words=$verbs ;;
    add | remove | update) words="$anywhere $(__droverctl_names 1)" ;;
    logs) words="-f -n --since --fd $anywhere $(__droverctl_names '')" ;;
    events) words="-f --since $anywhere $(__droverctl_names '')" ;;
    maintail) words="-f $anywhere" ;;
    upgrade)
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
        return
        ;;
    run)
        case $prev in
        --kill-signal) words="HUP INT QUIT KILL USR1 USR2 TERM" ;;
        --uid) words=$(compgen -u -- "$cur") ;;
        --gid) words=$(compgen -g -- "$cur") ;;
        --cwd | --input)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        *)
            words="--shell --timeout --kill-signal --max-buffer --uid --gid --cwd --env --argv0 --input --stdio --set
                --detached --json --quiet -- $([[ -z $cur ]] || compgen -c -- "$cur")"
            ;;
        esac
        ;;
    runs) words="stop signal $anywhere" ;;
    messages) words="-f --pace $anywhere $(__droverctl_names '')" ;;
    send) words="--wait-reply $anywhere $(__droverctl_names '')" ;;
    tail) words="-f stdout stderr $anywhere $(__droverctl_names '')" ;;
    write) words="--fd --eof $anywhere $(__droverctl_names '')" ;;
    ipc) words="--trace --errors all $anywhere $(__droverctl_names '')" ;;
    clear | disconnect | fg | pid | restart | show | start | status | stop | why)
        words="all $anywhere $(__droverctl_names '')"
        ;;
    signal)
        if [[ $prev == signal ]]; then
            words="HUP INT QUIT KILL USR1 USR2 TERM CONT STOP WINCH"
        else
            words="all $anywhere $(__droverctl_names '')"
        fi
        ;;
    *) words=$anywhere ;;
    esac
    # words of compgen may hold patterns, which must stay as they are
    local word
    set -f
    for word in $words; do
        [[ $word != "$cur"* ]] || COMPREPLY+=("$word")
    done
    set +f
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$cur"
    fi
}

complete -F _droverctl droverctl
