datadir=$1 state=$2 file=$1/grastate.dat
refuse() { echo "kubectl-mariadb: refused: $*"; exit 3; }
[ -d "$datadir" ] || refuse "there is no directory $datadir"
# A new file in the place of the old one: a server that still runs goes on writing into the old one, which is no more found.
printf '%s\n' "$state" >"$file.new" && sync "$file.new" || refuse "grastate.dat cannot be written"
[ "$(id -u)" != 0 ] || chown --reference="$datadir" "$file.new" || refuse "grastate.dat cannot be given to the server's user"
mv "$file.new" "$file" || refuse "grastate.dat cannot be replaced"
# A saved view could make it wait for members that are gone, or end its start if it is damaged.
rm -f "$datadir/gvwstate.dat" || refuse "gvwstate.dat cannot be removed"
sync "$datadir"
said() { sed -n 's/[[:space:]]*$//; s/^\(uuid\|seqno\|safe_to_bootstrap\):[[:space:]]*/\1 /p'; }
echo "kubectl-mariadb: grastate.dat: $(said <"$file" | tr '\n' ' ')"
