//! `MDB3xx`: GTID replication. Roles come from SQL. Seen on MariaDB 10.11.19 and 11.8.6 unless a text says otherwise.

rules! {
    NO_PRIMARY = "MDB301", Error, "No primary: no server accepts writes",
    "Replicas follow a server of this set, and there is none that answers, takes writes (`read_only` OFF) and replicates from nobody. \
Either the primary is down (another finding says why), or somebody stopped between two steps of a switchover.

If the primary can come back, let it: nothing is lost. Kubernetes restarts it in place, and the replicas reconnect.

If it is proven dead, the replica that has *received* most (`Gtid_IO_Pos`) is the one to promote, after it has applied all of it. \
First make sure that the old primary cannot come back writable: a server that was made read-only at runtime only is writable again after \
its restart. On the winner: `STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only=0`; then point the others and the Service at it. \
Transactions that only the dead one had are lost or have to be extracted from its binary log; it must be rebuilt before it rejoins \
if it has any. With mariadb-operator change the primary in the custom resource, never by SQL.";

    PRIMARY_READ_ONLY = "MDB302", Error, "The primary is read-only: no server accepts writes",
    "The server that the replicas follow (or the only server of the set) answers and has `read_only` ON, so writes of ordinary accounts fail with error 1290. Usual \
causes: a switchover that stopped halfway, a configuration with `read_only=1` after a restart (a promotion at runtime does not survive \
it), an operator that is stuck.

Find out whether a switchover is under way before you change anything. If none is, and no other server is or was writable meanwhile: \
`SET GLOBAL read_only=0` on this server restores service. Never open an old primary again after another one has taken writes.

Accounts with `READ_ONLY ADMIN` or all privileges can write all the time.";

    TWO_WRITABLE = "MDB303", Error, "More than one server takes writes",
    "Two or more servers of this set have `read_only` OFF and replicate from nobody, and there are replicas: there are two primaries. \
Each write goes to one history only, and the two cannot be merged by replication. Usual cause: after a failover the old primary came \
back writable, because `read_only` was not in its configuration.

Close the wrong one at once: `SET GLOBAL read_only=1`, and take it out of the Service. The right one is that which the replicas follow \
and the clients use. Then see which transactions only the wrong one has (its `gtid_binlog_state` against that of the right one). If \
there are any, save them with `mariadb-binlog`, and rebuild it; do not attach it by force.";

    INDEPENDENT = "MDB304", Error, "Independent servers in one set: nothing replicates",
    "The set has several servers, each of them takes writes, and none replicates from another or is in a Galera cluster. A Service over \
them sends each client's writes to a server of chance, and every server holds other rows. A single-server template was scaled up, or \
replication (or Galera) was never configured.

Stop the clients, find the server with the data that counts, scale the set so that only it stays (claims retained), and set up \
replication from a backup of it. Compare before you throw the others away: each may hold acknowledged rows.";

    IO_STOPPED = "MDB311", Error, "A replica no longer receives: its IO thread is stopped by an error",
    "The IO thread ended with the shown error, so this replica gets no new transactions and falls behind more and more. \
`Seconds_Behind_Master` is NULL then, not a number.

Solve what the error says, then `START SLAVE IO_THREAD`. The replica cannot be promoted until it has caught up.";

    SQL_STOPPED = "MDB312", Error, "A replica no longer applies: its SQL thread is stopped by an error",
    "A replicated statement failed on this replica, and its SQL thread stopped at it. Its data stands still at that moment, and it \
probably differs from the primary's already: a statement that worked there does not work here.

The error names the statement or row. Do not skip the event (`sql_slave_skip_counter`, `gtid_slave_pos` by hand) to make the thread \
run: the difference stays and grows. Rebuild the replica from a fresh copy unless you know exactly which row is missing and why.";

    PURGED = "MDB313", Error, "A replica needs binary logs that its source has purged",
    "Error 1236: the replica asks for a position that is older than the oldest binary log of its source. It was away too long, or the logs \
expire too early.

It cannot catch up from this source. If another server still has the logs, it can follow that one; otherwise rebuild it from a fresh \
copy. Do not set `gtid_slave_pos` forward: that skips all transactions in between. Raise `binlog_expire_logs_seconds` so that it \
outlasts your longest repair.";

    DIVERGED = "MDB314", Error, "A replica has transactions that its source does not have",
    "Error 1236: the replica's position is not in the binary log of its source. It executed or received transactions that the source never \
had, typically an old primary that comes back after a failover with commits nobody else had. The server refuses in strict mode and \
without it.

Save what only this replica has (`mariadb-binlog` from the last common GTID), then rebuild it from a fresh copy. Forcing \
`gtid_slave_pos` back to the common point seems to work until the first key collision (1062), and keeps the foreign rows (seen on \
10.11).";

    CREDENTIALS = "MDB315", Error, "A replica cannot log in at its source",
    "The source refuses the replica's account (error 1045 and the like): wrong password, no such account, or not allowed from this \
address. The password was changed on one side, or the new primary came from a backup without the account.

Correct it on the primary, or give the replica the new password: `STOP SLAVE; CHANGE MASTER TO MASTER_PASSWORD='…'; START SLAVE`. \
Type it in a session, not on a command line.";

    OUT_OF_ORDER = "MDB316", Error, "A replica stopped at a GTID out of order",
    "Error 1950: a transaction arrives whose sequence number is not higher than one that is already in this replica's binary log, and \
`gtid_strict_mode` is ON. Somebody wrote directly to this replica; until the next replicated transaction it looked healthy.

The local transactions are errant: they are in `gtid_binlog_state` under this server's own id. Save them if they matter, then rebuild \
the replica. Turning strict mode off makes it go on with different data, and nothing reports it any more. Keep `read_only=1` in the \
configuration of replicas.";

    DUPLICATE_KEY = "MDB317", Error, "A replica stopped at a row that it already has",
    "Error 1062: a replicated insert meets a row with the same key. The row was written on this replica directly, or the position was set \
back by hand, or the replica was configured a second time on data that was already ahead (mariadb-operator has been seen to do this when \
two replicas were added at once under writes).

Compare the row with the primary's. Rebuild the replica unless you know how this one row came there. Skipping the event hides one row \
and leaves the reason.";

    ROW_MISSING = "MDB318", Error, "A replica stopped at a row or table that it lacks",
    "Errors 1032 and 1146: a replicated update or delete does not find its row, or its table does not exist. The data of this replica has \
gone another way than the primary's: a direct write, skipped events, an incomplete copy, a filter.

Rebuild it from a fresh copy. `slave_exec_mode=IDEMPOTENT` and skipping only hide it.";

    STOPPED = "MDB319", Error, "A replica's threads are stopped without an error",
    "The IO or SQL thread is not running, and no error is recorded: somebody ran `STOP SLAVE`, or the server was started with \
`skip_slave_start`. It falls behind, and nobody is told.

Ask whether maintenance or a backup is under way; if not: `START SLAVE`.";

    CONNECTING = "MDB320", Error, "A replica cannot reach its source",
    "The IO thread is `Connecting`: it tries again and again (`Connect_Retry` seconds apart) to reach its source and does not succeed, \
although that server runs. The last IO error says more. Usual causes: the name does not resolve, a network policy, the port, TLS (an \
11.8 replica that is newly configured demands it from a 10.11 source), too many connections there.

Meanwhile it receives nothing, and its lag is unknown.";

    LAG = "MDB331", Warning, "A replica is more than 30 s behind",
    "`Seconds_Behind_Master` is above 30: the replica applies transactions that old. Reads from it are old, and a failover to it has to \
wait until it has applied what it received.

Usual causes: a large transaction or DDL, tables without a primary key, slow storage, a single applier under a parallel load \
(`slave_parallel_threads`). A value of 0 does not prove that it has everything: the number compares only with what it has received.";

    DELAYED = "MDB333", Info, "A replica is delayed on purpose",
    "`MASTER_DELAY` is set, so this replica stays behind by that time: a safety net against mistakes. Its lag is wanted. It is no candidate \
for a promotion and does not count as an up-to-date copy.";

    CHAINED = "MDB334", Warning, "A replica follows another replica",
    "The source of this replica is itself a working replica of the primary and logs what it replicates, so the primary's transactions \
arrive, a step later. If the one in between fails, this one gets nothing.

A chain made on purpose is fine. Otherwise it is left from a failover or switchover in which this replica was not reachable: point it \
to the primary when it is caught up (`STOP SLAVE; CHANGE MASTER TO MASTER_HOST='…', MASTER_USE_GTID=slave_pos; START SLAVE`).";

    WRONG_SOURCE = "MDB335", Error, "A replica follows a server that is not the primary",
    "Both threads may say Yes with a lag of 0, and yet this replica does not follow the primary: its `Master_Host` names another server of \
the set. It gets the primary's writes only as long as that server passes them on, and not at all if that server is an old primary \
whose own replication stopped.

It happens when a replica was not reachable during a failover or switchover and was left out. mariadb-operator 25.10.4 has been seen to \
leave such a replica, to report nothing, and to block at the next switchover with the primary read-only.

Compare GTIDs (no errant ones), then on this replica: `STOP SLAVE; CHANGE MASTER TO MASTER_HOST='…', MASTER_USE_GTID=slave_pos; \
START SLAVE`. A chain that is wanted is harmless; make it known to those who read this.";

    EXTERNAL_SOURCE = "MDB336", Info, "A server replicates from outside of this set",
    "The source host of this server is none of the set's pods or Services: another cluster, another namespace, or a proxy. For a standby \
cluster this is wanted. Whether that source is the right one cannot be told from here.";

    NOT_REPLICATING = "MDB337", Error, "A server of the set replicates from nobody",
    "There is a primary, and this server follows neither it nor anybody else. It is read-only, so nothing diverges, but it gets no data and \
can serve only old rows: it was never attached, or `RESET SLAVE ALL` was run on it.

Compare its GTID position with the primary's. If the primary still has all binary logs it needs and it has no errant transactions, \
attach it with `CHANGE MASTER TO … MASTER_USE_GTID=slave_pos`; an empty server must be rebuilt from a copy instead.";

    SERVER_ID_DIFFERS = "MDB338", Warning, "A replica's source is not the server that its name stands for",
    "`Master_Host` names the primary, but the server id that the IO thread connected to (`Master_Server_Id`) is another one. The name or a \
Service led it to a different server when it connected, and the connection is kept although the name now means the primary.

`STOP SLAVE IO_THREAD; START SLAVE IO_THREAD` makes it connect again. Use the pod's own DNS name as source, not a Service that moves. \
Two servers with the same or a changed `server_id` also look like this.";

    RING = "MDB339", Warning, "The primary itself replicates from a server of this set",
    "The server that others follow, and that takes writes, is itself a replica of a pod of this set: a ring. It is a left-over of a \
switchover that did not finish, or multi-primary replication made on purpose. A transaction can come back to where it was made, and \
which server decides is not clear.

If it is not wanted: `STOP SLAVE; RESET SLAVE ALL` on the primary, after comparing GTIDs.";

    NOT_COMPARABLE = "MDB340", Warning, "Positions of a replica and the primary cannot be compared",
    "The replica's position has a replication domain that the primary's lacks, and the replica logs too little to tell its own transactions \
from replicated ones (binary log or `log_slave_updates` off). So it cannot be said whether it is behind or has transactions of its \
own.

The domain may come from an earlier source or from `gtid_domain_id` settings that differ. Do not promote it before this is clear.";

    ERRANT = "MDB341", Error, "A server has transactions that the primary does not have",
    "In `gtid_binlog_state` of this server there are sequence numbers, under some domain and server id, above what the primary has: \
transactions that exist only here. Somebody wrote to a replica, or an old primary came back with commits that never left it.

With strict mode it goes on until the next replicated transaction and then stops (1950, or 1236 when it reconnects); without it it goes \
on silently with other data. Promoted, it would make the others diverge.

The GTIDs are listed. Look at them with `mariadb-binlog` and decide whether they must be kept; then rebuild the server. Never hide them \
by setting `gtid_slave_pos`.";

    WRITABLE_REPLICA = "MDB342", Warning, "A replica takes writes",
    "This replica has `read_only` OFF. Nothing is wrong until a client or a script writes to it: then it has errant transactions, stops \
or diverges silently, and has to be rebuilt.

`SET GLOBAL read_only=1` now, and `read_only=1` in its configuration: what is set at runtime is gone after a restart. `super_read_only` \
does not exist in MariaDB.";

    RESTARTS_WRITABLE = "MDB343", Error, "A replica would come back writable after a restart",
    "The server is read-only now, but only because that was set at runtime: its own start configuration has `read_only` off, so its next \
start makes it writable. If it was the primary before, it would restart as a primary, and with a start script or Service that chooses \
by ordinal, clients would write to it: two primaries.

Put `read_only=1` into the configuration of all servers of the set; being primary is then a runtime act (`SET GLOBAL read_only=0`).";

    PRIMARY_STARTS_WRITABLE = "MDB344", Info, "The primary is writable from its start",
    "The start configuration of the primary has `read_only` off, so after a crash it comes back as a primary, which is what you want as long \
as it is the only one. After a failover it is not: the old primary then comes back writable beside the new one, and takes writes of \
clients that still reach it (seen on 10.11).

Before you promote another server, make sure that this one cannot return writable: put `read_only=1` into its configuration, or keep \
its pod away.";

    NOT_A_CANDIDATE = "MDB345", Warning, "A replica cannot take over: its binary log is off or incomplete",
    "`log_bin` or `log_slave_updates` is OFF on this replica. If it were promoted, the others could not continue from it, because the \
transactions they still need are not in its binary log; and whether it has transactions of its own cannot be checked.

Set both in the configuration and restart it. For a replica that is only meant for reads or backups this may be wanted.";

    NO_GTID = "MDB346", Warning, "A replica replicates by file and offset, not by GTID",
    "`Using_Gtid` is `No`. It works as long as the source stays the same; after a failover it cannot be pointed to another server safely, \
and its position cannot be compared with others.

When it is caught up: `STOP SLAVE; CHANGE MASTER TO MASTER_USE_GTID=slave_pos; START SLAVE`, after checking that `gtid_slave_pos` is not \
empty.";

    MULTI_SOURCE = "MDB347", Info, "A server replicates from several sources",
    "There is more than one replication channel on this server. Each is judged by itself; the row of the pod shows the one that follows the \
primary of this set, if there is one.";

    OLDER_THAN_SOURCE = "MDB348", Warning, "A replica is older than its primary",
    "The replica runs an older release series than the primary. Replicating from a newer server to an older one is not supported: it works \
until a statement or event comes that the old one does not understand, and then stops or, worse, does something else.

In an upgrade the replicas go first and the primary last. Upgrade the replica, or switch back to a primary of its version before \
anybody uses what is new.";

    MIXED_VERSIONS = "MDB349", Warning, "The servers run different versions",
    "The servers of this set do not run the same version. While a rolling upgrade goes on this is normal, with replicas newer than the \
primary; it should be short, and no schema changes should be made meanwhile.

If no upgrade is going on, a floating image tag with `imagePullPolicy: Always` is the usual reason.";

    SERVICE_ELSEWHERE = "MDB351", Error, "The Service for writers does not lead to the primary alone",
    "A Service that is meant for writers (by its name, its selector, or because it selects one single pod) has ready endpoints that are \
not the primary. Writers that use it reach a replica: their writes fail with error 1290 if that is read-only, and make errant \
transactions if it is not.

It happens when the primary was changed by SQL and nobody changed the Service, or when a role label was not moved. Point its selector to \
the pod that is the primary by SQL. If the Service is right and the primary is not, somebody promoted the wrong server: compare GTIDs \
before you change anything.";
}
