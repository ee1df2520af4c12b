#!/bin/bash
# The probes of the official image: each argument is a test, all of them must pass.
# Exit status 1: a test has failed; 2: there is no such test.
set -o pipefail

DATADIR=/var/lib/mysql
CREDENTIALS=
CHANNEL=

ask() { # SQL [OPTION]; the account is the one that the entry point made
	local file=$CREDENTIALS own=$DATADIR/.my-healthcheck.cnf
	[ -n "$file" ] || { [ -e "$own" ] && file=$own; } || file=/run/mysqld/healthcheck.cnf
	timeout 5 mariadb --defaults-file="$file" --protocol=socket --connect-timeout=3 \
		--skip-column-names --batch "${@:2}" --execute="$1" 2>/dev/null
}
status() { ask "SELECT variable_value FROM information_schema.global_status WHERE variable_name = '$1'"; }
replica() { # a column of SHOW REPLICA STATUS
	ask "SHOW REPLICA ${CHANNEL:+'$CHANNEL'} STATUS\G" --column-names | sed -n "s/^ *$1: //p"
}

run() { # NAME [VALUE]
	case $1 in
	connect) # an answer over TCP, even "Access denied"
		[ "$(ask 'SELECT @@skip_networking')" = 0 ] ||
			timeout 5 mariadb --no-defaults --protocol=tcp --user=healthcheck --skip-ssl --execute='DO 1' 2>&1 | grep -q 'Access denied'
		;;
	innodb_initialized)
		[ "$(ask "SELECT 1 FROM information_schema.engines WHERE engine = 'innodb' AND support IN ('YES', 'DEFAULT')")" = 1 ]
		;;
	innodb_buffer_pool_loaded) [[ "$(status INNODB_BUFFER_POOL_LOAD_STATUS)" == *"load completed"* ]] ;;
	galera_online) [ "$(status WSREP_LOCAL_STATE)" = 4 ] ;;
	galera_ready) [ "$(status WSREP_READY)" = ON ] ;;
	replication_io) [ "$(replica Slave_IO_Running)" = Yes ] ;;
	replication_sql) [ "$(replica Slave_SQL_Running)" = Yes ] ;;
	replication) run replication_io && run replication_sql ;;
	replication_seconds_behind_master)
		local behind
		behind=$(replica Seconds_Behind_Master)
		[[ $behind =~ ^[0-9]+$ ]] && [ "$behind" -le "$2" ]
		;;
	mariadbupgrade) mariadb-upgrade --check-if-upgrade-is-needed --datadir="$DATADIR" --no-defaults >/dev/null 2>&1 && return 1 || return 0 ;;
	*)
		echo "healthcheck.sh: there is no test called --$1" >&2
		exit 2
		;;
	esac
}

[ $# -gt 0 ] || {
	echo "healthcheck.sh: name at least one test" >&2
	exit 2
}
for argument in "$@"; do
	argument=${argument#--}
	name=${argument%%=*} value=${argument#*=}
	case $name in
	datadir) DATADIR=$value ;;
	defaults-file | defaults-extra-file) CREDENTIALS=$value ;;
	replication_name) CHANNEL=$value ;;
	replication_all | su-mysql | no-defaults) ;;
	*) run "$name" "$value" || {
		echo "healthcheck $name failed" >&2
		exit 1
	} ;;
	esac
done
