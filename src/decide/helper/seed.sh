datadir=$1 listen=$2
seed=$datadir/.kubectl-mariadb-seed moving=$datadir/.kubectl-mariadb-moving seeded=$datadir/.kubectl-mariadb-seeded
refuse() { echo "kubectl-mariadb: refused: $*"; exit 3; }
mkdir -p "$datadir" || refuse "$datadir cannot be made"
# Of a run whose answer was lost.
[ ! -e "$seeded" ] || { echo "kubectl-mariadb: seeded"; exit 0; }
find_tool() {
  for tool in "$1" "/opt/bitnami/mariadb/bin/$1"; do
    command -v "$tool" >/dev/null 2>&1 && return
  done
  refuse "the image has no $1"
}
if [ ! -e "$moving" ]; then
  for file in "$datadir"/* "$datadir"/.[!.]*; do
    case $file in "$datadir/lost+found"|"$seed") continue ;; esac
    [ ! -e "$file" ] || refuse "$datadir is not empty: it holds ${file##*/}"
  done
  umask 077
  rm -rf "$seed" && mkdir "$seed" || refuse "$seed cannot be made"
  find_tool socat
  find_tool mbstream
  stream=$tool
  find_tool mariadb-backup
  echo "kubectl-mariadb: listening"
  socat -u "$listen" STDOUT | "$stream" -x -C "$seed" || refuse "the copy could not be unpacked"
  # The last file of a copy: without it the rest is a part.
  [ -e "$seed/mariadb_backup_info" ] || [ -e "$seed/xtrabackup_info" ] || refuse "the copy ended before it was whole"
  [ -s "$seed/master.info" ] || refuse "what to replicate from has not come"
  "$tool" --prepare --target-dir="$seed" || refuse "the copy could not be prepared"
  [ -d "$seed/mysql" ] && [ -e "$seed/ibdata1" ] || refuse "the copy holds no database"
  rm -f "$seed"/xtrabackup_* "$seed"/mariadb_backup_* "$seed/backup-my.cnf"
  [ "$(id -u)" != 0 ] || chown -R mysql:mysql "$datadir" || refuse "the copy cannot be given to the server's user"
  sync
  : >"$moving" || refuse "$datadir cannot be written"
fi
# A server takes a directory for a database by its mysql schema: that comes last, so half a copy is none.
for file in "$seed"/* "$seed"/.[!.]*; do
  [ -e "$file" ] && [ "$file" != "$seed/mysql" ] || continue
  mv "$file" "$datadir/" || refuse "${file##*/} cannot be moved into its place"
done
[ ! -e "$seed/mysql" ] || mv "$seed/mysql" "$datadir/" || refuse "mysql cannot be moved into its place"
: >"$seeded" && rm -rf "$seed" "$moving" && sync || refuse "$datadir cannot be written"
echo "kubectl-mariadb: seeded"
