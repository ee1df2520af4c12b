# The look of one pod: files first, then the server's own answers. POSIX sh, read-only, run inside the database container.
# Set by the caller before this text: mark (starts every section line), mounts (likely data directories, one a line),
# sql, view_sql and end_sql (what the server is asked).
# No secret is printed: of the server's command line only the options named here are looked at.

section() { printf '\n%s %s\n' "$mark" "$*"; }

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

# The data directory: as the server was told, as its configuration says, or the mount that looks like one.
find_datadir() {
  [ -n "$datadir" ] || for tool in my_print_defaults /opt/bitnami/mariadb/bin/my_print_defaults; do
    datadir=$("$tool" --mysqld 2>/dev/null | sed -n 's/^--datadir=//p' | tail -n 1)
    [ -n "$datadir" ] && break
  done
  if [ -z "$datadir" ] || [ ! -d "$datadir" ]; then
    while IFS= read -r m; do
      for d in "$m" "$m/data" "$m/storage"; do
        if [ -d "$d/mysql" ] || [ -e "$d/ibdata1" ] || [ -e "$d/grastate.dat" ]; then datadir=$d; return; fi
      done
    done <<MOUNTS
$mounts
MOUNTS
  fi
  [ -n "$datadir" ] || datadir=/var/lib/mysql
  datadir=${datadir%/}
}

file() { # file NAME: its bytes, or why there are none
  if [ ! -e "$datadir/$1" ]; then section "$1 absent"
  elif [ ! -r "$datadir/$1" ]; then section "$1 unreadable"
  else section "$1 present"; cat "$datadir/$1"; fi
}

look_at_process() {
  section process
  [ -n "$pid" ] || return 0
  # The command name is in parentheses and may hold blanks: the state is the first word after the last one.
  read -r stat <"/proc/$pid/stat" && { stat=${stat##*) }; echo "$pid ${stat%% *}"; }
  # Local address and state of every socket; 0A is LISTEN.
  cat "/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null | while read -r _ local _ st _; do
    [ "$st" = 0A ] && echo "listen ${local##*:}"
  done
}

look_at_files() {
  section datadir
  echo "$datadir"
  if [ ! -d "$datadir" ]; then echo missing
  elif [ ! -x "$datadir" ] || [ ! -r "$datadir" ]; then echo unreadable
  elif [ -d "$datadir/mysql" ]; then echo initialised
  else echo bare; fi
  section markers
  for f in sst_in_progress .sst wsrep_sst.pid; do [ -e "$datadir/$f" ] && echo "$f"; done
  file grastate.dat
  file gvwstate.dat
  for f in mariadb_upgrade_info mysql_upgrade_info; do [ -e "$datadir/$f" ] && { file "$f"; break; }; done
  section space
  df -kP "$datadir" 2>&1 | tail -n 1
  section switches
  printf %s "$flags"
  [ -n "$MARIADB_GALERA_CLUSTER_BOOTSTRAP" ] && [ "$MARIADB_GALERA_CLUSTER_BOOTSTRAP" != no ] && echo "environment MARIADB_GALERA_CLUSTER_BOOTSTRAP"
  grep -rlsEi '^[[:space:]]*(wsrep[-_]new[-_]cluster[[:space:]]*(=[[:space:]]*"?(on|1|true)"?[[:space:]]*)?|wsrep[-_]cluster[-_]address[[:space:]]*=[[:space:]]*"?gcomm://"?[[:space:]]*)$' \
    /etc/mysql /etc/my.cnf /etc/my.cnf.d /opt/bitnami/mariadb/conf 2>/dev/null | sed 's/^/file /'
}

# What the options of the running server make of read_only; the last one wins.
look_at_read_only() {
  section read-only
  [ -n "$pid" ] || return 0
  for tool in my_print_defaults /opt/bitnami/mariadb/bin/my_print_defaults; do
    command -v "$tool" >/dev/null 2>&1 || continue
    last=$({ "$tool" ${defaults:+"$defaults"} --mysqld 2>/dev/null; printf '%s\n' "$options"; } |
      sed -n 's/^--read[-_]only$/on/p; s/^--read[-_]only=//p; s/^--skip[-_]read[-_]only$/off/p' | tail -n 1)
    echo "${last:-off}"
    return
  done
}

# The password stays in the container: from the environment, or the file it names.
credentials() {
  user=${MARIADB_ROOT_USER:-root}
  secret=${MARIADB_ROOT_PASSWORD:-$MYSQL_ROOT_PASSWORD}
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
  socket=$(awk '$4 == "00010000" && $8 ~ /(mysql|maria).*\.sock$/ { print $8 }' /proc/net/unix 2>/dev/null |
    while IFS= read -r s; do [ -S "$s" ] && { echo "$s"; break; }; done)
}

ask_server() {
  if ! find_client; then section sql-end noclient; return; fi
  find_socket
  credentials
  limit=''
  command -v timeout >/dev/null 2>&1 && limit='timeout 2.5'
  section sql
  # The table exists only where a Galera provider has been loaded.
  view=''
  [ -e "$datadir/mysql/wsrep_cluster_members.frm" ] && view=$view_sql
  exec 3>&1
  errors=$({ printf '%s\n%s\n%s\n' "$sql" "$view" "$end_sql" |
    $limit "$client" --user="$user" ${socket:+--socket="$socket"} --connect-timeout=2 --default-character-set=utf8mb4 \
      --batch --no-auto-rehash 2>&1 >&3; echo "exit $?"; })
  exec 3>&-
  section sql-end client
  printf '%s\n' "$errors" | tail -c 2000
}

sample() {
  find_server
  find_datadir
  look_at_process
  look_at_files
  look_at_read_only
  ask_server
  section end
}
