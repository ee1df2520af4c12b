# What a server replicates from. POSIX sh, after client.sh. Set by the caller: home, the data directory.

refuse() {
  echo "$*" >&2
  exit 1
}

# The file with the password: for the one that is to replicate in the same way, by a way that nobody else reads.
follows() {
  find_server
  [ -f "$home/master.info" ] || refuse "it has no master.info in $home, so what it replicates from cannot be handed on"
  cat "$home/master.info" && printf '\n%s\n' "$done"
}
