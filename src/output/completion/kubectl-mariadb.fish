# Completion of kubectl-mariadb for fish. What `kubectl mariadb` completes, kubectl asks for itself.

function __kubectl_mariadb_offer
    set -l typed (commandline -opc)
    set -l last (commandline -ct)
    # After `--flag=` only the value is offered, and fish wants the whole word.
    set -l flag (string match --regex -- '^-.*=' "$last")
    for line in ($typed[1] __complete $typed[2..-1] "$last" 2>/dev/null)
        switch $line
            case ':0'
                for path in (__fish_complete_path (string replace --regex -- '^-.*=' '' "$last"))
                    echo -- "$flag$path"
                end
            case ':*' ''
            case '*'
                echo -- "$flag$line"
        end
    end
end

complete --command kubectl-mariadb --erase
complete --command kubectl-mariadb --no-files --arguments '(__kubectl_mariadb_offer)'
