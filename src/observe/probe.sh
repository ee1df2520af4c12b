# The look of one pod: files first, then the server's own answers. POSIX sh, read-only, run inside the database container.
# Set by the caller before this text: mark (starts every section line), mounts (likely data directories, one a line),
# sql, view_sql and end_sql (what the server is asked), given (a password that the user has named, or nothing).
# No secret is printed: of the server's command line only the options named here are looked at.
# Every program that is started costs the node 1 to 3 ms, so the shell does itself what it can.

section() { printf '\n%s %s\n' "$mark" "$*"; }

# The data directory: as the server was told, as its configuration says, or the mount that looks like one.
find_datadir() {
  [ -n "$datadir" ] || while IFS= read -r o; do
    case $o in --datadir=*) datadir=${o#*=} ;; esac
  done <<OPTIONS
$configured
OPTIONS
  [ -n "$datadir" ] && [ -d "$datadir" ] || find_on_mounts
  [ -n "$datadir" ] || datadir=/var/lib/mysql
  datadir=${datadir%/}
}

find_on_mounts() {
  while IFS= read -r m; do
    for d in "$m" "$m/data" "$m/storage"; do
      if [ -d "$d/mysql" ] || [ -e "$d/ibdata1" ] || [ -e "$d/grastate.dat" ]; then datadir=$d; return; fi
    done
  done <<MOUNTS
$mounts
MOUNTS
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
  for f in tcp tcp6; do
    [ -r "/proc/$pid/net/$f" ] && while read -r _ local _ st _; do
      [ "$st" = 0A ] && echo "listen ${local##*:}"
    done <"/proc/$pid/net/$f"
  done
}

look_at_files() {
  section datadir
  echo "$datadir"
  if [ ! -d "$datadir" ]; then echo missing
  elif [ ! -x "$datadir" ] || [ ! -r "$datadir" ]; then echo unreadable
  elif [ -d "$datadir/mysql" ]; then echo initialised
  elif [ -n "$nothing" ]; then echo empty
  else echo bare; fi
  section markers
  for f in sst_in_progress .sst; do [ -e "$datadir/$f" ] && echo "$f"; done
  file grastate.dat
  file gvwstate.dat
  for f in mariadb_upgrade_info mysql_upgrade_info; do [ -e "$datadir/$f" ] && { file "$f"; break; }; done
  section space
  space=$(df -kP "$datadir" 2>&1)
  printf '%s\n' "${space##*
}"
  section switches
  printf %s "$flags"
  [ -n "$MARIADB_GALERA_CLUSTER_BOOTSTRAP" ] && [ "$MARIADB_GALERA_CLUSTER_BOOTSTRAP" != no ] && echo "environment MARIADB_GALERA_CLUSTER_BOOTSTRAP"
  grep -rlsEi '^[[:space:]]*(wsrep[-_]new[-_]cluster[[:space:]]*(=[[:space:]]*"?(on|1|true)"?[[:space:]]*)?|wsrep[-_]cluster[-_]address[[:space:]]*=[[:space:]]*"?gcomm://"?[[:space:]]*)$' \
    /etc/mysql /etc/my.cnf /etc/my.cnf.d /opt/bitnami/mariadb/conf 2>/dev/null | while IFS= read -r f; do echo "file $f"; done
}

# What the binary logs of a stopped server ended with, each file after a line of its own; and whether it was told whom to follow.
look_at_logs() {
  section follows
  [ -s "$datadir/master.info" ] && echo yes
  section logged
  for f in "$datadir"/*.state; do
    [ -f "$f" ] && [ -r "$f" ] && { f=${f##*/}; echo "file ${f%.state}"; cat "$datadir/$f"; echo; }
  done
}

# The script of a state transfer (SST) beside the server: which side, how long it has run, what it has to copy or has copied.
look_at_transfer() {
  section transfer
  [ -e "$datadir/wsrep_sst.pid" ] && read -r script <"$datadir/wsrep_sst.pid" && [ -r "/proc/$script/cmdline" ] || return 0
  side='' peer='' method='' word=''
  while IFS= read -r o; do
    # The address may hold a password before an @.
    case $word in --role) side=$o ;; --address) peer=${o##*@} ;; esac
    case $o in
      */wsrep_sst_*) method=${o##*/wsrep_sst_} ;;
      --bypass) return 0 ;; # Nothing but write sets is sent.
    esac
    word=$o
  done <<WORDS
$(tr '\0' '\n' <"/proc/$script/cmdline")
WORDS
  # A script that was killed leaves its number to others.
  [ -n "$method" ] && read -r stat <"/proc/$script/stat" && read -r up _ </proc/uptime || return 0
  # The start is the 22nd word, in hundredths of a second since that of the machine; the state is the third.
  set -- ${stat##*) }
  shift 19
  echo "$side $method $((${up%.*} - $1 / 100)) $peer"
  brief=''
  command -v timeout >/dev/null 2>&1 && brief='timeout 1'
  if [ "$side" = donor ]; then
    LC_ALL=C $brief du -skc "$datadir"/*/ "$datadir"/ibdata* "$datadir"/ib_logfile* "$datadir"/undo* "$datadir"/aria_log* 2>/dev/null
  elif [ -e "$datadir/sst_in_progress" ]; then
    # Files are many: du prints more than one total.
    LC_ALL=C $brief find "$datadir" -type f -newer "$datadir/sst_in_progress" ! -name galera.cache \
      ! -name '*.[0-9][0-9][0-9][0-9][0-9][0-9]' -exec du -kc {} + 2>/dev/null
    # Without any file there is no total; what was cut is none.
    case $? in 0) echo '0	total' ;; 124) echo cut ;; esac
  fi | grep -e '^[0-9]*	total$' -e '^cut$'
}

# The certificate that the server was told to use: the first of its file. A key that stands in the same file is not printed.
look_at_certificate() {
  section certificate
  cert=''
  while IFS= read -r o; do
    case $o in --ssl[-_]cert=*) cert=${o#*=} ;; esac
  done <<OPTIONS
$configured
$options
OPTIONS
  case $cert in ''|/*) ;; *) cert=$datadir/$cert ;; esac
  [ -n "$pid" ] && [ -r "$cert" ] || return 0
  echo "$cert"
  inside=''
  while IFS= read -r line; do
    case $line in
      *-BEGIN\ CERTIFICATE-*) inside=yes ;;
      *-END\ CERTIFICATE-*) return 0 ;;
      *) [ -n "$inside" ] && printf '%s\n' "$line" ;;
    esac
  done <"$cert"
}

# What the options of the running server make of read_only; the last one wins.
look_at_read_only() {
  section read-only
  [ -n "$pid" ] && [ -n "$configured_known" ] || return 0
  last=off
  while IFS= read -r o; do
    case $o in
      --read[-_]only) last=on ;;
      --read[-_]only=*) last=${o#*=} ;;
      --skip[-_]read[-_]only) last=off ;;
    esac
  done <<OPTIONS
$configured
$options
OPTIONS
  echo "$last"
}

# The client's answers go to descriptor 3; its errors and its exit code are printed.
run_client() { # run_client OPTIONS…
  { printf '%s\n%s\n%s\n' "$sql" "$view" "$end_sql" |
    $limit "$client" --user="$user" ${socket:+--socket="$socket"} $tcp --connect-timeout=2 --default-character-set=utf8mb4 \
      --batch --no-auto-rehash "$@" 2>&1 >&3; echo "exit $?"; }
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
  # TLS on a socket protects nothing and takes longer than all questions together. An account may demand it all the same.
  errors=$(run_client ${socket:+--loose-skip-ssl})
  case $socket$errors in /*"ERROR 1045 "*) errors=$(run_client) ;; esac
  exec 3>&-
  section "sql-end ${given:+given}"
  if [ ${#errors} -le 2000 ]; then printf '%s\n' "$errors"; else printf '%s\n' "$errors" | tail -c 2000; fi
}

sample() {
  nothing=''
  find_server
  find_configured
  find_datadir
  look_at_process
  look_at_files
  look_at_transfer
  look_at_read_only
  look_at_certificate
  ask_server
  section end
}

# A volume without its server, in a helper pod: no options to go by and nothing to ask.
sample_at_rest() {
  pid='' datadir='' flags='' nothing=''
  find_on_mounts
  [ -n "$datadir" ] || find_deeper
  if [ -z "$datadir" ]; then
    # Only what is empty may be called so: whoever holds nothing is no obstacle to a bootstrap.
    datadir=${mounts%%
*}
    if ! holds_no_file "$datadir"; then
      section datadir
      echo "$datadir"
      echo foreign
      section end
      return
    fi
    nothing=yes
    while IFS= read -r m; do holds_no_file "$m" || nothing=''; done <<MOUNTS
$mounts
MOUNTS
  fi
  look_at_process
  look_at_files
  look_at_logs
  section sql-end none
  section end
}

holds_nothing() { # holds_nothing FOLDER: it can be read, and nothing is in it
  [ -r "$1" ] && [ -x "$1" ] || return 1
  for f in "$1"/* "$1"/.[!.]*; do
    case $f in *'/*'|*'/.[!.]*'|*/lost+found) ;; *) return 1 ;; esac
  done
}

# Empty folders are nothing: a chart leaves one where its data was deleted.
holds_no_file() {
  [ -r "$1" ] && [ -x "$1" ] || return 1
  for d in "$1"/* "$1"/.[!.]*; do
    case $d in *'/*'|*'/.[!.]*'|*/lost+found) continue ;; esac
    [ -d "$d" ] && [ ! -L "$d" ] && holds_nothing "$d" || return 1
  done
}

find_deeper() {
  while IFS= read -r m; do
    for d in "$m"/* "$m"/*/*; do
      if [ -d "$d/mysql" ] || [ -e "$d/ibdata1" ] || [ -e "$d/grastate.dat" ]; then datadir=$d; return; fi
    done
  done <<MOUNTS
$mounts
MOUNTS
}
