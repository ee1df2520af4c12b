datadir=$1; shift
refuse() { echo "kubectl-mariadb: refused: $*"; exit 3; }
[ -d "$datadir/mysql" ] && [ -e "$datadir/ibdata1" ] || refuse "$datadir holds no database"
[ ! -e "$datadir/grastate.dat" ] || [ -s "$datadir/grastate.dat" ] || refuse "grastate.dat is empty: a state transfer never completed"
for mark in sst_in_progress .sst; do
  [ ! -e "$datadir/$mark" ] || refuse "$mark shows a state transfer that was cut"
done
for server in mariadbd mysqld /opt/bitnami/mariadb/sbin/mariadbd /opt/bitnami/mariadb/sbin/mysqld; do
  command -v "$server" >/dev/null 2>&1 && break
done
command -v "$server" >/dev/null 2>&1 || refuse "the image has no mariadbd"
# Recovery joins nobody, and yet the server wants an address, which some sets give it in a start script only. An empty one would
# found a cluster; at this one there is nobody.
set -- "$@" "--datadir=$datadir" --wsrep-recover --wsrep-cluster-address=gcomm://127.0.0.1 --skip-log-error
[ ! -e /opt/bitnami/mariadb/conf/my.cnf ] || set -- --defaults-file=/opt/bitnami/mariadb/conf/my.cnf "$@"
[ "$(id -u)" != 0 ] || set -- "$@" --user=mysql
"$server" "$@" 2>&1
echo "kubectl-mariadb: exit $?"
