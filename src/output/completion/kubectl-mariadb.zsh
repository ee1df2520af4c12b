#compdef kubectl-mariadb
# Completion of kubectl-mariadb for zsh. What `kubectl mariadb` completes, kubectl asks for itself.

_kubectl_mariadb() {
    local line otherwise=4
    local -a offered
    for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            (:*) otherwise=${line#:} ;;
            (?*)
                # The first plain `:` parts the word from its meaning.
                line=${line//:/\\:}
                offered+=("${line/$'\t'/:}") ;;
        esac
    done
    # After `--flag=` only the value is offered.
    [[ ${words[CURRENT]} == -*=* ]] && compset -P '*='
    if (( ${#offered} )); then
        _describe -t words 'kubectl mariadb' offered
    elif (( otherwise == 0 )); then
        _files
    fi
}

if [[ ${funcstack[1]} == _kubectl_mariadb || ${funcstack[1]} == _kubectl-mariadb ]]; then
    _kubectl_mariadb
else
    compdef _kubectl_mariadb kubectl-mariadb
fi
