# The way to the server of a container: its process, its client, its socket, an account. POSIX sh; one place for everything
# that speaks SQL in a pod. Set by the caller: given_user (another account than the container's own, or nothing) and
# given (a password that the user has named, or nothing).

# The server process, and of its options those that say where things are.
find_server() {
  pid='' datadir='' socket='' flags='' defaults='' options=''
  for c in /proc/[0-9]*/comm; do
    read -r name <"$c" || continue
    case $name in mariadbd|mysqld) ;; *) continue ;; esac
    p=${c#/proc/} p=${p%/comm}
    # A server that only prints its help or recovers a position is not the server of this pod.
    options=$(tr '\0' '\n' <"/proc/$p/cmdline") || continue
    case $options in *--verbose*|*wsrep?recover*) continue ;; esac
    pid=$p
    while IFS= read -r o; do
      case $o in
        --datadir=*) datadir=${o#*=} ;;
        --socket=*) socket=${o#*=} ;;
        --defaults-file=*|--defaults-extra-file=*) defaults=$o ;;
        --wsrep[-_]new[-_]cluster|--wsrep[-_]new[-_]cluster=[1oO][nN]*|--wsrep[-_]new[-_]cluster=1) flags="${flags}flag --wsrep-new-cluster of the running server
" ;;
        --wsrep[-_]cluster[-_]address=gcomm://) flags="${flags}flag --wsrep-cluster-address=gcomm:// of the running server
" ;;
      esac
    done <<OPTIONS
$options
OPTIONS
    break
  done
}

# The password stays in the container: from the environment, or the file it names.
credentials() {
  if [ -n "$given_user" ]; then
    user=$given_user MYSQL_PWD=$given; export MYSQL_PWD
    return
  fi
  user=${MARIADB_ROOT_USER:-root}
  secret=${given:-${MARIADB_ROOT_PASSWORD:-$MYSQL_ROOT_PASSWORD}}
  if [ -z "$secret" ]; then
    for f in "$MARIADB_ROOT_PASSWORD_FILE" "$MYSQL_ROOT_PASSWORD_FILE"; do
      [ -n "$f" ] && [ -r "$f" ] && { secret=$(cat "$f"); break; }
    done
  fi
  # Without a password the client falls back to its own configuration files and to socket authentication.
  if [ -n "$secret" ]; then MYSQL_PWD=$secret; export MYSQL_PWD; fi
}

find_client() {
  for client in mariadb mysql /opt/bitnami/mariadb/bin/mariadb /opt/bitnami/mariadb/bin/mysql; do
    command -v "$client" >/dev/null 2>&1 && return 0
  done
  return 1
}

find_socket() {
  [ -n "$socket" ] && [ -S "$socket" ] && return
  socket=''
  [ -r /proc/net/unix ] && while read -r _ _ _ type _ _ _ s; do
    case "$type $s" in
      "00010000 "*mysql*.sock|"00010000 "*maria*.sock) [ -S "$s" ] && { socket=$s; break; } ;;
    esac
  done </proc/net/unix
}
