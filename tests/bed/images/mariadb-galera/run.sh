#!/bin/bash
# Starts a member from the variables of Bitnami's image, as any user, and decides like it who founds a cluster: the one that
# is told so, or one in a new pod that finds no peer and whose files allow it.
set -eu

HOME_FOLDER=/opt/bitnami/mariadb
DATADIR=/bitnami/mariadb/data
# In a volume of the pod: it outlives the container and not the pod.
BOOTED=$HOME_FOLDER/.bootstrap/booted
ordinal=${MY_POD_NAME##*-}
service=${MARIADB_GALERA_CLUSTER_ADDRESS#gcomm://}

say() { printf 'mariadb-galera: %s\n' "$1" >&2; }
is_yes() { case ${1,,} in yes | true | 1) ;; *) false ;; esac; }
peers() { getent ahostsv4 "$service" | awk '{print $1}' | sort -u | grep -vxF "$MY_POD_IP" || true; }
answers() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/4567" 2>/dev/null; }
a_peer_answers() {
	local peer
	for peer in $(peers); do if answers "$peer"; then return 0; fi; done
	return 1
}
may_found() {
	if [ -f $DATADIR/grastate.dat ]; then grep -q '^safe_to_bootstrap: 1' $DATADIR/grastate.dat; else [ "$ordinal" = 0 ]; fi
}

founds=no
if is_yes "${MARIADB_GALERA_CLUSTER_BOOTSTRAP:-no}"; then
	founds=yes
	if is_yes "${MARIADB_GALERA_FORCE_SAFETOBOOTSTRAP:-no}" && [ -f $DATADIR/grastate.dat ]; then
		say "marks the files of this member as safe to bootstrap from"
		sed -i 's/^safe_to_bootstrap: 0/safe_to_bootstrap: 1/' $DATADIR/grastate.dat
	fi
elif [ ! -e $BOOTED ] && ! a_peer_answers && may_found; then
	founds=yes
fi
touch $BOOTED
mkdir -p $DATADIR

arguments=(--wsrep-cluster-name="$MARIADB_GALERA_CLUSTER_NAME" --wsrep-node-name="$MY_POD_NAME" --wsrep-node-address="$MY_POD_IP")
if [ $founds = yes ]; then
	say "founds a cluster"
	arguments+=(--wsrep-new-cluster --wsrep-cluster-address=gcomm://)
else
	if [ ! -f $DATADIR/grastate.dat ]; then
		# The state transfer brings a joiner's data directory: nothing to initialise.
		mkdir -p $DATADIR/mysql
		say "waits for a member to join"
		until a_peer_answers; do sleep 1; done
	fi
	# An address without members would found a cluster.
	found=$(peers | paste -sd, -)
	arguments+=(--wsrep-cluster-address="gcomm://${found:-$service}")
fi

# No password in an argument list.
umask 077
password=$(<"$MARIADB_GALERA_MARIABACKUP_PASSWORD_FILE")
printf '[galera]\nwsrep_sst_auth="%s:%s"\n' "$MARIADB_GALERA_MARIABACKUP_USER" "$password" >$HOME_FOLDER/conf/bitnami/sst.cnf
printf "CREATE USER %s@localhost IDENTIFIED BY '%s';\nGRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO %s@localhost;\n" \
	"$MARIADB_GALERA_MARIABACKUP_USER" "$password" "$MARIADB_GALERA_MARIABACKUP_USER" >/docker-entrypoint-initdb.d/mariabackup.sql
export MARIADB_INITDB_SKIP_TZINFO=yes
exec /usr/local/bin/docker-entrypoint.sh mariadbd "${arguments[@]}"
