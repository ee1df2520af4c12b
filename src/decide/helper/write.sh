datadir=$1 before=$2 after=$3 file=$1/grastate.dat
refuse() { echo "kubectl-mariadb: refused: $*"; exit 3; }
# The lines that count, without comments and padding.
said() { sed -n 's/[[:space:]]*$//; s/^\(uuid\|seqno\|safe_to_bootstrap\):[[:space:]]*/\1 /p'; }
now() { [ ! -e "$file" ] || said <"$file"; }
[ -d "$datadir/mysql" ] || refuse "$datadir holds no database"
[ "$(now)" = "$(printf '%s\n' "$before" | said)" ] || [ "$(now)" = "$(printf '%s\n' "$after" | said)" ] ||
  refuse "grastate.dat says something else by now: $(now | tr '\n' ' ')"
if [ -z "$after" ]; then
  rm -f "$file" || refuse "grastate.dat cannot be removed"
elif [ "$(now)" != "$(printf '%s\n' "$after" | said)" ]; then
  printf '%s\n' "$after" >"$file.new" && sync "$file.new" || refuse "grastate.dat cannot be written"
  [ "$(id -u)" != 0 ] || chown --reference="$datadir" "$file.new" || refuse "grastate.dat cannot be given to the server's user"
  mv "$file.new" "$file" || refuse "grastate.dat cannot be replaced"
fi
sync "$datadir"
echo "kubectl-mariadb: grastate.dat: $(now | tr '\n' ' ')"
