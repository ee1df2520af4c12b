# The way to the server of a container: its process, its client, its socket, an account. POSIX sh; one place for everything
# that speaks SQL in a pod. Set by the caller: given_user (another account than the container's own, or nothing) and
# given (a password that the user has named, or nothing).

# The server process, and of its options those that say where things are.
find_server() {
  pid='' datadir='' socket='' port='' flags='' defaults='' options='' word='' configured='' configured_known=''
  for c in /proc/[0-9]*/comm; do
    read -r name <"$c" || continue
    case $name in mariadbd|mysqld) ;; *) continue ;; esac
    p=${c#/proc/} p=${p%/comm}
    # A server that only prints its help or recovers a position is not the server of this pod.
    options=$(tr '\0' '\n' <"/proc/$p/cmdline") || continue
    case $options in *--verbose*|*wsrep?recover*) continue ;; esac
    pid=$p
    while IFS= read -r o; do
      # An option and its value may be two words.
      case $word in
        --datadir|-h) datadir=$o ;;
        --socket|-S) socket=$o ;;
        --port|-P) port=$o ;;
      esac
      word=$o
      case $o in
        --datadir=*) datadir=${o#*=} ;;
        --socket=*) socket=${o#*=} ;;
        --port=*) port=${o#*=} ;;
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

# What the server's configuration files say: one option a line, and whether there was a program to ask.
find_configured() {
  configured='' configured_known=''
  for tool in my_print_defaults /opt/bitnami/mariadb/bin/my_print_defaults; do
    command -v "$tool" >/dev/null 2>&1 || continue
    configured=$("$tool" ${defaults:+"$defaults"} --mysqld 2>/dev/null) configured_known=yes
    return
  done
}

# How the server is reached: its socket as it was told, one with a usual name, the only one there is; else its port.
find_socket() {
  tcp=''
  is_socket "$socket" && return
  socket='' other='' others=0
  [ -r /proc/net/unix ] && while read -r _ _ _ type _ _ _ s; do
    case "$type $s" in
      "00010000 "*mysql*.sock|"00010000 "*maria*.sock) [ -S "$s" ] && { socket=$s; break; } ;;
      "00010000 /"*) [ -S "$s" ] && other=$s others=$((others + 1)) ;;
    esac
  done </proc/net/unix
  [ -z "$socket" ] && [ -n "$pid" ] || return 0
  [ -n "$configured_known" ] || find_configured
  told=''
  while IFS= read -r o; do
    case $o in
      --socket=*) told=${o#*=} ;;
      --port=*) port=${port:-${o#*=}} ;;
    esac
  done <<OPTIONS
$configured
OPTIONS
  is_socket "$told" && return
  [ "$others" = 1 ] && { socket=$other; return; }
  listens "${port:-3306}" && tcp="--protocol=tcp --host=127.0.0.1 --port=${port:-3306}"
  return 0
}

# A relative name is one in the data directory.
is_socket() {
  case $1 in
    '') return 1 ;;
    /*) set -- "$1" ;;
    *) set -- "${datadir:-/var/lib/mysql}/$1" ;;
  esac
  [ -S "$1" ] && socket=$1
}

listens() { # listens PORT: on every address, or on that of this machine
  hex=$(printf %04X "$1") || return 1
  for f in tcp tcp6; do
    [ -r "/proc/net/$f" ] && while read -r _ local _ st _; do
      case "$st $local" in
        "0A 00000000:$hex"|"0A 0100007F:$hex"|"0A 00000000000000000000000000000000:$hex") return 0 ;;
      esac
    done <"/proc/net/$f"
  done
  return 1
}
