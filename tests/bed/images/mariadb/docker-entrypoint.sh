#!/bin/bash
# Entry point of the bed's MariaDB images. It keeps the contract of the official image (variables,
# files, order of steps), so that manifests written for that one run here unchanged.
set -eo pipefail
shopt -s nullglob

SOCKET=/run/mysqld/init.sock # of the temporary server: no probe and no client finds it by chance
ROOT_PASSWORD= # as the temporary server knows it

say() { printf '%s [%s] [Entrypoint]: %s\n' "$(date --rfc-3339=seconds)" "$1" "$2" >&2; }
note() { say Note "$1"; }
fail() {
	say ERROR "$1"
	exit 1
}

# setting NAME [DEFAULT]: MARIADB_NAME or else MYSQL_NAME; either may name a file as ..._FILE.
setting() {
	local name file
	for name in "MARIADB_$1" "MYSQL_$1"; do
		file=${name}_FILE
		if [ -n "${!name}" ] && [ -n "${!file}" ]; then fail "Both $name and $file are set (but are exclusive)"; fi
		if [ -n "${!file}" ]; then
			[ -r "${!file}" ] || fail "$file names ${!file}, which cannot be read"
			printf '%s' "$(<"${!file}")"
			return
		fi
		if [ -n "${!name}" ]; then
			printf '%s' "${!name}"
			return
		fi
	done
	printf '%s' "$2"
}

# A wrong ..._FILE ends the start here: where the value is used, only a subshell would end.
check_files() {
	local name
	for name in "${!MARIADB_@}" "${!MYSQL_@}"; do
		case $name in
		*_FILE)
			name=${name#*_}
			setting "${name%_FILE}" >/dev/null
			;;
		esac
	done
}

literal() { # an SQL string
	local text=${1//\\/\\\\}
	printf "'%s'" "${text//\'/\'\'}"
}
identifier() { printf '`%s`' "${1//\`/\`\`}"; }
account() { printf '%s@%s' "$(literal "$1")" "$(literal "$2")"; }

# The health check's password follows from root's, so that it is the same on every member of a Galera
# cluster: a state transfer brings the donor's accounts, and mariadb-backup's removes the file here.
write_credentials() { # FILE ROOT_PASSWORD ROOT_PASSWORD_HASH
	(
		umask 077
		printf '[mariadb-client]\nuser=healthcheck\npassword=%s\nskip-ssl\n' "$(healthcheck_password "$2" "$3")" >"$1"
	)
}
healthcheck_password() { printf 'healthcheck %s %s' "$1" "$2" | sha256sum | cut -c 1-32; }

# SQL from stdin on the temporary server, as root. Scripts in /docker-entrypoint-initdb.d may use it.
# The password goes by the environment: arguments can be seen by others.
docker_process_sql() {
	MYSQL_PWD=$ROOT_PASSWORD mariadb --no-defaults --protocol=socket --socket="$SOCKET" --user=root --skip-ssl --comments "$@"
}

# A server that nobody else reaches: no network, no cluster, no replica threads. From 11.4 on a client
# insists on TLS unless both sides do without.
start_temporary() {
	note "Starting temporary server"
	"$@" --skip-networking --socket="$SOCKET" --wsrep-on=OFF --wsrep-provider=none --skip-slave-start \
		--expire-logs-days=0 --skip-ssl --loose-innodb-buffer-pool-load-at-startup=0 &
	TEMPORARY=$!
	local i
	for i in {1..600}; do
		if docker_process_sql --execute='DO 1' 2>/dev/null; then return; fi
		kill -0 "$TEMPORARY" 2>/dev/null || fail "Unable to start server: it has ended."
		sleep 0.1
	done
	fail "Unable to start server: no answer within 60 s."
}
stop_temporary() {
	note "Stopping temporary server"
	kill "$TEMPORARY"
	wait "$TEMPORARY" || fail "Unable to shut down server."
}

# password_clause PASSWORD HASH
password_clause() {
	if [ -n "$2" ]; then printf 'IDENTIFIED BY PASSWORD %s' "$(literal "$2")"; else printf 'IDENTIFIED BY %s' "$(literal "$1")"; fi
}

# Accounts of this server alone: never written to the binary log.
own_accounts() {
	local clause host grants check
	check=$(healthcheck_password "$1" "$2")
	clause=$(password_clause "$1" "$2")
	# mariadb-install-db makes root accounts without a password; those of a host win over root@'%'.
	echo "DELETE FROM mysql.proxies_priv WHERE host <> 'localhost';"
	echo "DELETE FROM mysql.global_priv WHERE user = '' OR (user = 'root' AND host <> 'localhost'); FLUSH PRIVILEGES;"
	grants=$(setting HEALTHCHECK_GRANTS USAGE)
	for host in localhost 127.0.0.1 ::1; do
		echo "CREATE USER IF NOT EXISTS $(account healthcheck $host) IDENTIFIED BY '$check'; GRANT $grants ON *.* TO $(account healthcheck $host);"
	done
	if [ -n "$(setting MYSQL_LOCALHOST_USER)" ]; then
		echo "CREATE USER IF NOT EXISTS mysql@localhost IDENTIFIED VIA unix_socket;"
		grants=$(setting MYSQL_LOCALHOST_GRANTS)
		if [ -n "$grants" ]; then echo "GRANT $grants ON *.* TO mysql@localhost;"; fi
	fi
	host=$(setting ROOT_HOST %)
	if [ "$host" != localhost ]; then
		echo "CREATE USER IF NOT EXISTS $(account root "$host") $clause;"
		echo "GRANT ALL ON *.* TO $(account root "$host") WITH GRANT OPTION;"
		echo "GRANT PROXY ON ''@'%' TO $(account root "$host") WITH GRANT OPTION;"
	fi
	echo "ALTER USER root@localhost $clause;"
}

# What the application and the replicas need.
shared_accounts() {
	local database user password hash replica source
	database=$(setting DATABASE) user=$(setting USER) password=$(setting PASSWORD) hash=$(setting PASSWORD_HASH)
	if [ -n "$database" ]; then echo "CREATE DATABASE IF NOT EXISTS $(identifier "$database");"; fi
	if [ -n "$user" ] && [ -n "$password$hash" ]; then
		echo "CREATE USER IF NOT EXISTS $(account "$user" %) $(password_clause "$password" "$hash");"
		if [ -n "$database" ]; then echo "GRANT ALL ON $(identifier "${database//_/\\_}").* TO $(account "$user" %);"; fi
	fi
	replica=$(setting REPLICATION_USER) source=$(setting MASTER_HOST)
	if [ -n "$replica" ]; then
		password=$(setting REPLICATION_PASSWORD) hash=$(setting REPLICATION_PASSWORD_HASH)
		if [ -n "$source" ]; then
			echo "CHANGE MASTER TO MASTER_HOST=$(literal "$source"), MASTER_PORT=$(setting MASTER_PORT 3306)," \
				"MASTER_USER=$(literal "$replica"), MASTER_PASSWORD=$(literal "$password"), MASTER_CONNECT_RETRY=10, MASTER_USE_GTID=slave_pos;"
		else
			echo "CREATE USER IF NOT EXISTS $(account "$replica" %) $(password_clause "$password" "$hash");"
			echo "GRANT REPLICATION REPLICA ON *.* TO $(account "$replica" %);"
		fi
	fi
}

run_init_files() {
	local file database
	database=$(setting DATABASE)
	for file in /docker-entrypoint-initdb.d/*; do
		note "$0: running $file"
		case $file in
		*.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
		*.sql) docker_process_sql ${database:+"$database"} <"$file" ;;
		*.sql.gz) zcat "$file" | docker_process_sql ${database:+"$database"} ;;
		*) say Warn "$0: ignoring $file" ;;
		esac
	done
}

initialise() {
	local password hash argument arguments=()
	password=$(setting ROOT_PASSWORD) hash=$(setting ROOT_PASSWORD_HASH)
	if [ -z "$password$hash$(setting ALLOW_EMPTY_ROOT_PASSWORD)" ]; then
		[ -n "$(setting RANDOM_ROOT_PASSWORD)" ] || fail "Database is uninitialized and password option is not specified
	You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ROOT_PASSWORD_HASH, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD"
		password=$(head -c 24 /dev/urandom | base64)
		note "GENERATED ROOT PASSWORD: $password"
	fi
	note "Initializing database files"
	for argument in "${@:2}"; do # mariadb-install-db would split one with white space
		case $argument in *[[:space:]]*) ;; *) arguments+=("$argument") ;; esac
	done
	mariadb-install-db --datadir="$DATADIR" --rpm --auth-root-authentication-method=normal --skip-test-db "${arguments[@]}" \
		--wsrep-on=OFF --wsrep-provider=none --skip-log-bin --loose-innodb-buffer-pool-load-at-startup=0 >/dev/null
	note "Database files initialized"
	start_temporary "$@"
	if [ -z "$(setting INITDB_SKIP_TZINFO)" ]; then
		mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo 2>/dev/null | docker_process_sql mysql
	fi
	{
		echo "SET @binlog = @@SESSION.sql_log_bin; SET SESSION sql_log_bin = 0;"
		own_accounts "$password" "$hash"
		echo "SET SESSION sql_log_bin = @binlog;"
		shared_accounts
	} | docker_process_sql mysql
	write_credentials "$DATADIR/.my-healthcheck.cnf" "$password" "$hash"
	ROOT_PASSWORD=$password
	run_init_files
	stop_temporary
	note "MariaDB init process done. Ready for start up."
}

upgrade() {
	local binary tables info
	for info in "$DATADIR/mariadb_upgrade_info" "$DATADIR/mysql_upgrade_info"; do
		if [ -e "$info" ]; then break; fi
	done
	binary=$(mariadbd --version | sed -E 's/.*Ver ([0-9.]+)-.*/\1/')
	tables=$(sed -E 's/^([0-9.]+)-.*/\1/; s/[^0-9.]//g' "$info" 2>/dev/null || true)
	if [ "${binary%.*}" = "${tables%.*}" ]; then
		note "MariaDB upgrade not required"
		return
	fi
	note "Starting mariadb-upgrade (from ${tables:-unknown} to $binary)"
	start_temporary "$@" --skip-grant-tables
	mariadb-upgrade --no-defaults --protocol=socket --socket="$SOCKET" --user=root --skip-ssl --upgrade-system-tables
	stop_temporary
	note "Finished mariadb-upgrade"
}

case $1 in -* | '') set -- mariadbd "$@" ;; esac
case $1 in mariadbd | mysqld) ;; *) exec "$@" ;; esac
for argument in "$@"; do # questions to the server, not starts of it
	case $argument in
	--help | -\? | --version | -V | --print-defaults | --wsrep-recover | --wsrep_recover) exec "$@" ;;
	esac
done

# Asked, because it may be set in a file or an argument. The binary log must not be opened for it.
DATADIR=$("$@" --verbose --help --log-bin-index="$(mktemp -u)" 2>/dev/null | awk '$1 == "datadir" {print $2; exit}') || true
DATADIR=${DATADIR:-/var/lib/mysql}
DATADIR=${DATADIR%/}

if [ "$(id -u)" = 0 ]; then
	mkdir -p "$DATADIR" /run/mysqld
	find "$DATADIR" /run/mysqld \! -user mysql -exec chown mysql:mysql '{}' +
	note "Switching to dedicated user 'mysql'"
	exec gosu mysql "$0" "$@"
fi

check_files
mkdir -p "$DATADIR"
if [ ! -d "$DATADIR/mysql" ]; then
	initialise "$@"
elif [ -n "$(setting AUTO_UPGRADE)" ]; then
	upgrade "$@"
fi
write_credentials /run/mysqld/healthcheck.cnf "$(setting ROOT_PASSWORD)" "$(setting ROOT_PASSWORD_HASH)"
exec "$@"
