# Completion of kubectl-mariadb for bash. What `kubectl mariadb` completes, kubectl asks for itself.

_kubectl_mariadb() {
    # bash takes `=` for a word of its own.
    local -a typed=()
    local word glued='' last=-1
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ $last -ge 0 && ( $word == '=' || -n $glued ) ]]; then
            typed[last]+=$word
            [[ $word == '=' ]] && glued=yes || glued=''
        else
            last=${#typed[@]}
            typed[last]=$word
        fi
    done

    COMPREPLY=()
    local line otherwise=4
    while IFS= read -r line; do
        case $line in
            :*) otherwise=${line#:} ;;
            ?*) COMPREPLY+=("$line") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${typed[@]}" 2>/dev/null)

    # The second TAB shows what the words mean; what is inserted is the word alone.
    local at
    for at in "${!COMPREPLY[@]}"; do
        line=${COMPREPLY[at]}
        if [[ ${COMP_TYPE:-9} -eq 63 && ${#COMPREPLY[@]} -gt 1 && $line == *$'\t'* ]]; then
            COMPREPLY[at]="${line%%$'\t'*}  (${line#*$'\t'})"
        else
            COMPREPLY[at]=${line%%$'\t'*}
        fi
    done
    if [[ $otherwise -ne 0 ]] && type compopt &>/dev/null; then
        compopt +o default 2>/dev/null
    fi
    return 0
}

complete -o default -F _kubectl_mariadb kubectl-mariadb
