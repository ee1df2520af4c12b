# How a server gives a copy of its data. POSIX sh, after client.sh and follow.sh. Set by the caller: home, the data directory.

# Whether all of it is in the data directory.
is_in_one_place() {
  find_server
  find_configured
  elsewhere='--(innodb[-_](log[-_]group[-_]home[-_]dir|data[-_]home[-_]dir|undo[-_]directory)|aria[-_]log[-_]dir[-_]path)='
  other=$(printf '%s\n%s\n' "$options" "$configured" | grep -E -- "$elsewhere" | head -n 1)
  [ -z "$other" ] || refuse "it keeps files outside of its data directory ($other): such a copy is not taken apart here"
}

# Sends a physical copy to $to, while the server works on.
give() {
  find_server
  find_socket
  credentials
  backup=''
  for t in mariadb-backup mariabackup /opt/bitnami/mariadb/bin/mariadb-backup; do
    command -v "$t" >/dev/null 2>&1 && { backup=$t; break; }
  done
  [ -n "$backup" ] || refuse "the container has no mariadb-backup"
  command -v socat >/dev/null 2>&1 || refuse "the container has no socat"
  work=$(mktemp -d) || refuse "there is no room for temporary files"
  trap 'rm -rf "$work"' EXIT
  # Something in between may close a connection on which nothing is said for long.
  while sleep 15; do echo . >&2; done &
  beat=$!
  status=$({ { "$backup" ${defaults:+"$defaults"} --backup --stream=xbstream --target-dir="$work/t" --user="$user" \
    ${socket:+--socket="$socket"} $tcp 2>"$work/log"; echo $? >&3; } | socat -u STDIN "$to,retry=20,interval=1" >&2; } 3>&1)
  kill "$beat" 2>/dev/null
  [ "$status" = 0 ] && tail -n 1 "$work/log" | grep -q 'completed OK!' || refuse "$(tail -n 3 "$work/log")"
  echo "$done"
}
