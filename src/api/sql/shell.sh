# A client of the container's server that reads statements from stdin. POSIX sh, run after client.sh.
# Set by the caller: database, delimiter.

find_server
if ! find_client; then
  echo noclient >&2
  exit 127
fi
find_socket
credentials
set -- --user="$user" ${socket:+--socket="$socket"} $tcp --connect-timeout=5 --default-character-set=utf8mb4 --no-auto-rehash
# TLS on a socket protects nothing. An account may demand it all the same.
if [ -n "$socket" ]; then
  limit=''
  command -v timeout >/dev/null 2>&1 && limit='timeout 2.5'
  case $(echo 'DO 0' | $limit "$client" "$@" --loose-skip-ssl --batch 2>&1) in
    *"ERROR 1045 "*) ;;
    *) set -- "$@" --loose-skip-ssl ;;
  esac
fi
# Binary mode: what is on stdin is never a command of the client. It goes on after an error, which the caller judges.
exec "$client" "$@" ${database:+--database="$database"} --xml --quick --unbuffered --binary-mode --loose-binary-as-hex \
  --skip-reconnect --local-infile=0 --force --delimiter="$delimiter"
