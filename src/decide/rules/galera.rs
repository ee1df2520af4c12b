//! `MDB2xx`: Galera. What was seen, was seen on MariaDB 10.11.19 and 11.8.6 with provider 26.4.23, unless a text says otherwise.

rules! {
    NO_PRIMARY = "MDB201", Error, "No primary component: nobody accepts statements",
    "Servers answer, but each of them says `non-Primary`: they refuse statements with error 1047, because none can know that it belongs \
to the majority. It happens when half of the members or more disappear without a clean leave, or when two of three are stopped at the \
same moment, even cleanly (2 of 5 rounds on 10.11).

If the missing members can come back (a network cut, pods that restart), wait: the parts find each other and are Primary again within \
2 s of seeing each other.

If the missing members are known to be dead (their container reported as terminated by a Ready node, or their Node object gone), \
`kubectl mariadb galera recover` reads the files of all, also of the dead, before one of them founds the cluster again.

The short way by hand, only if it is also known that the dead did not go on without the members that answer: run on *one* of those \
`SET GLOBAL wsrep_provider_options='pc.bootstrap=YES'` (on 11.8, where that variable is \
read-only: `SET GLOBAL wsrep_provider_pc_bootstrap=ON`). It acts at once, keeps connections and the state UUID, and takes the other \
members of the same component along. Each missing member must then take a full state transfer: remove `grastate.dat` and \
`gvwstate.dat` from its data directory before its server starts again.

Do not run it on two sides of a network cut: that makes a split brain. Do not restart the members that still answer: a restarted one \
waits for the missing ones without opening its SQL port, and the short way is lost.";

    ALL_DOWN = "MDB202", Error, "The whole Galera cluster is down",
    "No member answers SQL, and the files say that this is a Galera cluster. There is no primary component that a member could join, so \
each one waits or crashes, and none comes back before one is bootstrapped.

Never bootstrap the first pod that comes to mind. The one that holds the newest data must be found: (1) save `grastate.dat` and \
`gvwstate.dat` of every ordinal; (2) rule out data directories with a 0-byte `grastate.dat`, a zero UUID or marks of a state transfer \
(`sst_in_progress`, `.sst`): they are half copies, whatever position they report; (3) the UUIDs of the rest must be equal; (4) a seqno \
in `grastate.dat` counts only without `gvwstate.dat`; otherwise the position comes from `mariadbd --wsrep-recover`, which writes, so \
never beside a running server and never on an empty directory; (5) the highest position wins.

Then write that UUID and seqno and `safe_to_bootstrap: 1` into `grastate.dat` of the winner and start this server alone with \
`--wsrep-new-cluster`. With the seqno written, the UUID is kept and the others join by IST; without it a new UUID is made and all \
others are copied over. Start the others one at a time when it is Primary and Synced, and take the switch away at once.

If all members crashed and restart with `gvwstate.dat` present, they may form a cluster by themselves, with a zero UUID and without \
comparing positions (MDB207).";

    SPLIT_BRAIN = "MDB203", Error, "Split brain: two primary components without a common member",
    "Two groups of members are Primary at the same time, and no member is in both. Each accepts writes, and the histories go apart. It \
is made by bootstrapping (`pc.bootstrap`, `--wsrep-new-cluster`, a bare `gcomm://`) on both sides of a cut.

No number shows it: state UUID, `wsrep_cluster_conf_id` and `wsrep_last_committed` were equal in both halves while the rows differed \
(10.11). Only the member sets differ. The halves do not reconnect by themselves.

Stop the clients of one half now (take its pods out of the Service), and decide which half stays. Save what only the other half has, \
for example with a dump. Then the *losing* members must take a full state transfer: stop them, remove `grastate.dat` and \
`gvwstate.dat` from their data directories, start them.

Do not just restart the losing side: it rejoins by IST, keeps its rows, and everything shows Synced.";

    RENEGOTIATING = "MDB204", Warning, "Membership is being renegotiated",
    "The members do not agree on who is in the primary component at this moment, or say themselves that they are negotiating it \
(`wsrep_evs_state` other than `OPERATIONAL`). A member was just lost, cut off, stopped or started.

Views are stale for about 6.3 s after a cut with default timeouts: until then both sides say Primary with the full size. So this is \
no split brain yet, and no proof that there is none. Look again in ten seconds, and do nothing destructive on one sample.";

    TWO_CLUSTERS = "MDB205", Error, "Two clusters: primary components with different histories",
    "Members of this set are Primary in clusters with different state UUIDs: somebody (or a start script, or a forgotten bootstrap \
switch) founded a second cluster. The positions of the two cannot be compared, and each accepts writes.

A member that joins the other cluster loses its whole data directory to the state transfer, without a warning: a database that \
existed only there vanished (10.11). So restart nothing.

Stop the clients of the wrong one, dump what only it has, remove the bootstrap switch, and let its members join the right cluster one \
at a time.";

    NO_PRIMARY_SEEN = "MDB206", Error, "No answering member is Primary, and some could not be asked",
    "Each member that answers is `non-Primary` and refuses statements. Others could not be asked from here: they may be the primary \
component, on the other side of a network cut, with clients writing to them; or they may be down.

Do not run `pc.bootstrap` here: if the others are Primary, it makes a split brain. First find out what the silent ones do: look at \
their nodes, ask from another place, or prove that they are dead (container terminated as reported by a Ready node, or the Node \
object gone). NotReady is not dead.

If the cut ends, the members here rejoin by themselves within seconds.";

    ZERO_UUID = "MDB207", Error, "The cluster has a zero UUID: its histories were never compared",
    "The state UUID of the cluster is all zeros. All members crashed together and found each other again from `gvwstate.dat`; none knew \
its position, so Galera formed the old component *without comparing the data*. Everything else looks healthy: Primary, Synced, \
ready, full size. Yet the members had 2325, 1083 and 1133 rows (seen on 10.11 and on 11.8).

The official image and charts that do not recover positions at start lead here after every crash of all members at once.

Stop writes. Compare the members (row counts, checksums, newest rows) and choose the one to keep, or merge by hand from dumps. Then \
found the cluster again from that member: stop all, keep a copy of every data directory that has rows of its own, bootstrap the \
chosen one (`safe_to_bootstrap: 1`, `--wsrep-new-cluster`; it makes a new UUID), and let the others take a full state transfer.

Until then do not scale, upgrade or restart members, and do not call a backup of this cluster good. State transfers fail in this \
state (`Failed to parse uuid:seqno pair`), so a member that leaves may not come back.";

    STATE_DIFFERS = "MDB208", Error, "A member holds another history than the cluster it is in",
    "`wsrep_local_state_uuid` of this member is not `wsrep_cluster_state_uuid`, and it is not receiving a state transfer. Its data does \
not belong to the history that the component replicates.

Do not read from it or back it up. Let it take a full state transfer: when the other members are Primary and Synced, remove \
`grastate.dat` and `gvwstate.dat` in its data directory and delete the pod.";

    NOT_ACCEPTING = "MDB209", Error, "A member is in the primary component but accepts no statements",
    "The member says Primary, and at the same time `wsrep_ready` or `wsrep_connected` is OFF: statements on it fail with error 1047. \
This is normal for a moment while it joins. If it stays, the server is stuck between leaving and joining.

If the other members are Primary and Synced, deleting this pod lets it join again. Its log says what it waits for.";

    WITHOUT_GALERA = "MDB210", Error, "A server runs without Galera beside members of a cluster",
    "This server answers with Galera switched off (`wsrep_on=OFF` or no provider), while other servers of the set are a Galera cluster. \
What is written to it is written to it alone, and it gets nothing from the others. Usual causes: a configuration file that it did not \
get, a rescue start (`--wsrep-on=OFF`) that was forgotten.

Take it out of the Service, find out whether clients wrote to it, correct its configuration, and let it join with a full state \
transfer (remove `grastate.dat` first).";

    PARTITIONED = "MDB211", Error, "A member is cut off from the primary component",
    "The member runs and answers, but is `non-Primary` while other members are Primary. It cannot reach them (network policy, node \
network, a hung peer), or was evicted because it did not answer in time. It refuses statements with error 1047; the rest goes on \
working.

Do nothing to the data: as soon as the members see each other again it rejoins by itself, within seconds, usually by IST. Find out why \
pod-to-pod traffic on ports 4567, 4568 and 4444 is cut; SQL and probes may work although these ports do not.

Never run `pc.bootstrap` on it: with a primary component alive that makes a split brain.";

    ZOMBIE = "MDB212", Error, "A member has left the cluster for good, and its server still runs",
    "`wsrep_cluster_status` is `Disconnected` although the server process lives: the provider has given up (a failed join, an \
inconsistency, an abort), and this server will never rejoin by itself. It looks alive: `SELECT 1` works, and most probes stay green \
(10.11).

Delete the pod, so that a new process joins. Expect a full state transfer. Before that, check that a primary component with at least \
one Synced member exists; if there is none, this data directory may be needed to recover: save its files and see MDB202.";

    INCONSISTENT = "MDB213", Error, "A member was voted out: its data differs",
    "A write set failed on this member and succeeded on the others, so the group expelled it (`Inconsistent`). Its rows differ from \
theirs, and the server has zeroed the UUID in its `grastate.dat`. Its process goes on running, and answers `SELECT 1`.

Usual causes: somebody wrote to it with `wsrep_on=0`, it is the loser of an earlier split brain that rejoined, tables without a \
primary key, different versions or settings.

Keep its error log (it names the table and the row) and, if rows there may matter, a dump. Then delete the pod: it takes a full state \
transfer from the others. Ask how its data became different, or it will happen again.";

    LIMBO = "MDB214", Error, "A server waits for members that do not come",
    "The server process lives, opens no SQL socket and listens only on the group port: it was restarted without a clean stop, found \
`gvwstate.dat`, and waits for *all* members of its last primary view. It neither gives up nor crashes; Kubernetes shows the pod as \
running. It heals within 3 s once the last missing member is there (10.11).

Bring the missing members back: their pods are named below or in other findings. If one of them cannot come back, this server cannot \
be told so (there is no SQL to tell it): all waiting servers must be stopped, and one of them bootstrapped as in MDB202.

Do not delete `gvwstate.dat` on one pod in the hope that it starts: it then ends after 34 s for want of a primary component.";

    NEEDS_RECOVERY = "MDB215", Error, "A member starts, finds no primary component and ends",
    "The server has no `gvwstate.dat`, no member is Primary, and so each of its starts ends after about 34 s (`failed to reach primary \
view`); the container crashes again and again. It cannot heal by itself: the cluster has to be bootstrapped from one member.

The first such start has already replaced the position in `grastate.dat` by -1, so the seqno in the file says nothing any more: \
positions must be recovered with `mariadbd --wsrep-recover`, after saving the files of all ordinals, with no server running on them. \
The order of steps is in MDB202.";

    JOINING = "MDB216", Warning, "A member is joining and receives data",
    "The member is not Synced yet: it receives a full state transfer (SST) or the missing write sets (IST), or applies what came in \
meanwhile. During an SST it opens no SQL socket, which is normal.

It already counts for the quorum: if its donor dies now and it gives up, the remaining member of three is non-Primary. So do not \
restart, scale or upgrade anything until it is Synced. Do not kill it because it takes long: with mariadb-backup its old data is gone \
already and the next attempt starts from zero; a directory left half copied reports the donor's position as if it were complete.";

    DONOR = "MDB217", Info, "A member is donor for one that joins",
    "The member sends its data to a joining one and is not Synced meanwhile. With mariadb-backup it stays writable; with rsync it blocks \
writes for the copy. It must not be stopped before the joiner is Synced: the joiner then aborts and its old data may be gone.";

    DESYNCED = "MDB218", Warning, "A member is desynced, and no member is joining",
    "The state is Donor/Desynced without a joiner: `wsrep_desync` is ON, or somebody holds `FLUSH TABLES WITH READ LOCK` (a backup). \
The member may fall behind without slowing the others, serves old rows, and cannot be relied on as a copy.

If no backup is running: `SET GLOBAL wsrep_desync=OFF` on it, and wait for Synced.

A member that crashes while it is paused by a read lock keeps a valid seqno in `grastate.dat`. In the next recovery it looks like the \
best informed one although it is behind; four acknowledged rows were lost that way (10.11). Do not leave it like this.";

    NOT_SYNCED = "MDB219", Warning, "A member of the primary component is not Synced",
    "The member is in the primary component, and its `wsrep_local_state` is none of the usual ones for a running member (Synced, Donor, \
Joining, Joined). Statements on it may be refused. Look again in some seconds; if it stays, read its log.";

    PROBE_WILL_KILL = "MDB220", Warning, "A probe will end a joiner before its state transfer can be done",
    "A joiner takes no statements until its copy is complete, so a probe that asks for SQL fails all that time, and the kubelet ends \
the container when `failureThreshold` is reached. At the pace seen since the transfer began, the copy takes longer than that, not \
counting the time to apply it. The next run then starts the copy from zero, and so on: a big enough cluster never gets this member \
back, and each attempt keeps a donor busy. With mariadb-backup the joiner's old data is gone with the first attempt.

Give the startup probe more time: `failureThreshold` × `periodSeconds` has to outlast the copy, twice over to be safe; the figure is in \
the evidence. Where there is only a liveness probe, add a startup probe. With mariadb-operator this is `spec.startupProbe`, with the \
Bitnami chart `startupProbe`.

A change of the template starts a rollout, and a rollout restarts members from the highest ordinal down, perhaps a Synced one while \
this one is away. So on a StatefulSet of your own first set `updateStrategy` to `OnDelete`, then change the probe, then delete only \
the joiner's pod; its copy begins anew, with enough time.";

    NOT_IN_VIEW = "MDB221", Error, "A pod could not be asked, and the cluster runs without it",
    "This pod's container runs and gave no answer, and the primary component does not list it as a member. So it is not only hidden from \
you: the cluster has lost it.

Find out why it does not answer (the finding MDB9xx beside this one says how it was asked), then look again.";

    OUTSIDER = "MDB222", Warning, "The cluster has a member that is no pod of this set",
    "The view of the primary component lists a member that belongs to none of the pods of this StatefulSet: another set, a server \
elsewhere, a pod that was started by hand for a bootstrap, or the last incarnation of a pod that was just restarted. It counts for \
the quorum and accepts writes.

If it is wanted (a cluster over two sets), nothing is wrong, but the counts here include what is not shown. If nobody knows it, find \
it by its address.";

    MARGIN_GONE = "MDB223", Warning, "One more loss stops all writes",
    "The primary component is so small that losing one more member without a clean leave leaves no majority: the rest becomes \
non-Primary, and every write fails. Quorum counts the members of the last view, joining ones and arbitrators included: of two, one is \
not more than half.

Bring the missing members back first. Until then restart, drain and upgrade nothing, not even cleanly: two of three stopped at the \
same moment lost the quorum in 2 of 5 rounds.";

    EVEN_SIZE = "MDB224", Info, "The cluster has an even number of votes",
    "With an even number of members a network cut into halves leaves no majority on either side, and both stop. Two members tolerate no \
loss at all; four tolerate one, as three do. An odd number, or an arbitrator (garbd), is safer at the same cost.";

    ARBITRATOR = "MDB225", Info, "An arbitrator takes part",
    "The view contains a member without a client address: an arbitrator (garbd). It votes and counts in `wsrep_cluster_size`, and holds \
no data. It is a vote more, not a copy more.";

    RECV_QUEUE = "MDB231", Warning, "A member is behind in applying",
    "The receive queue of a Synced member holds more write sets than the flow-control limit allows (`gcs.fc_limit`): it applies more \
slowly than the others write. When the queue grows over the limit the member makes the whole cluster pause.

Reads from it are old. Usual causes: slow storage, less CPU than its peers, a long DDL, tables without a primary key, too few \
`wsrep_slave_threads`.";

    FLOW_CONTROL = "MDB232", Warning, "Writes are paused by flow control",
    "Flow control is active at this moment: a member has asked all others to stop committing until it has caught up, and writes on the \
whole cluster wait. The member with the growing `wsrep_flow_control_sent` and the full receive queue is the slow one.

Find out why this one is slow (storage, CPU, a backup, a long DDL). Setting `wsrep_desync=ON` on it lets the others go on, at the \
price of a member that is behind; do not forget to set it back.";

    PAUSED_OFTEN = "MDB233", Info, "Writes were paused for a good part of the time",
    "Since this server started, flow control has paused replication for more than 5 % of the time (`wsrep_flow_control_paused_ns` over \
the uptime). It says nothing about now. Clients saw it as slow commits; the member that applies slowest sets the pace for all.";

    SEND_QUEUE = "MDB234", Warning, "A member cannot send as fast as it commits",
    "The send queue of this member is not empty to a degree that is not a moment's wait: the network between the members is slower than \
its commits. Look at packet loss and bandwidth between the nodes, and at very large transactions.";

    MIXED_VERSIONS = "MDB241", Warning, "The servers run different versions",
    "The members or replicas of this cluster do not run the same server version. During a rolling upgrade this is normal, and it should \
be short.

Make no schema changes meanwhile: a statement that only 11.8 understands succeeded there, failed on two members with 10.11, and no \
error told anybody; the schemas were different from then on. A member of an older version may not be able to take a full state \
transfer from a newer one.

If no upgrade is going on, a floating image tag with `imagePullPolicy: Always` is the usual reason.";

    BOOTSTRAP_SWITCH = "MDB243", Error, "A bootstrap switch is left on: the next restart founds a second cluster",
    "This container, as it is configured now, starts its server with `--wsrep-new-cluster`, `wsrep_new_cluster=ON`, a bare `gcomm://` or \
the image's own variable for it. It was meant for one start. At its next restart, planned or not, the server founds a cluster of its \
own instead of joining, and accepts writes there. As the only member of a component its `grastate.dat` may even say that this is \
safe.

Remove the switch now, while the members are together, in a way that does not restart this pod first: check which pods a change of \
the template restarts. mariadb-operator leaves such a file (`1-bootstrap.cnf`) behind when its clean-up fails.";

    BOOTSTRAP_IN_TEMPLATE = "MDB244", Error, "The pod template founds a new cluster at every start",
    "The command, arguments or environment of the set's template hold a bootstrap switch (`--wsrep-new-cluster`, a bare `gcomm://`, a \
bootstrap variable) that no condition guards. All pods share it, and each start uses it again: a container that crashes and restarts \
founds a cluster of its own, and so does every new pod after a scale-out. On a fresh volume Galera does not refuse.

It was put there for one bootstrap, or by a chart value such as `forceBootstrap`. Take it out of the template now, while the members \
are together. With an update strategy of RollingUpdate this restarts the pods one by one; check with `status` that each one \
joins the others, and stop it at once if it does not.";

    GCACHE_UNKNOWN = "MDB246", Info, "No member says how far back it can send write sets",
    "`wsrep_local_cached_downto` is known of no Synced member, so it cannot be told whether a member that leaves now comes back by IST \
(seconds) or needs a full copy (SST). Directly after a start this is normal: the cache fills with the next writes.";

    GCACHE_SHORT = "MDB247", Info, "The write-set cache does not reach far back",
    "Even the best donor keeps fewer than 1000 write sets in its cache (`gcache.size`), and older ones have been dropped. A member that \
is away for more write sets than that needs a full copy (SST) instead of IST. IST is possible exactly when the joiner's seqno + 1 is \
at least `wsrep_local_cached_downto` of a donor, and the UUIDs are equal.

A larger `gcache.size` costs disk space only. Think of the time a node reboot or an upgrade step takes, times your write rate.";

    HALF_COPY = "MDB251", Error, "A data directory is half a copy",
    "The files show a state transfer that was cut: a 0-byte `grastate.dat`, or marks such as `sst_in_progress` or `.sst`, and no \
transfer is running. The contents may be partial, whatever else they say: such a directory reported exactly the \
donor's position and exit code 0 when asked with `--wsrep-recover` (10.11).

With a primary component alive there is nothing to do but to let the member join: it is copied anew. Without one, never bootstrap \
this member and never count its position.";

    GRASTATE_MISSING = "MDB252", Warning, "A Galera data directory has no `grastate.dat`, and no member is Primary",
    "The directory holds a database but no `grastate.dat`. Galera takes a missing file as `safe_to_bootstrap: 1` with an unknown history \
(seen in its log: `Found saved state: 0000…:-1, safe_to_bootstrap: 1`): it would let this server found a cluster with a new UUID, and \
all others would be copied over.

The file is missing after somebody removed it to force a full state transfer, or when a volume was restored or just initialised. Do \
not start this server alone.";

    GVWSTATE_BROKEN = "MDB253", Error, "`gvwstate.dat` is empty or damaged and blocks the start",
    "Galera cannot read the saved view and refuses to start (`invalid UUID: 00000000`). Usually the volume was full or the node lost \
power while the file was written.

Removing this one file is the cure; it holds no data, only the member list of the last primary view. Keep a copy. Without it the \
server does not wait for its old peers: it needs a primary component to join, or a bootstrap (MDB202).";

    SAFE_TWICE = "MDB254", Error, "More than one member claims to be safe to bootstrap",
    "Two or more data directories have `safe_to_bootstrap: 1`, and no member is Primary. Only the last one of a clean stop, or the only \
member of its component, gets this flag, so at least one of them was forced or edited, or there was a split brain.

Ignore the flag. Compare UUIDs and recovered positions, and remember that after a split brain equal positions do not prove equal \
rows: compare the data before one of them is thrown away.";

    HISTORIES_ON_DISK = "MDB255", Error, "Data directories of this set hold different histories",
    "`grastate.dat` of the members names different, non-zero UUIDs. Their positions cannot be compared: a higher number means nothing. \
When a member with one UUID joins a cluster with another, its whole data directory is replaced without a warning; a database that \
existed only there vanished (10.11).

Do not start or join the odd one before somebody has looked at what is in it. A volume left over from an older cluster of the same \
name is the harmless case; a second cluster that took writes is the other one.";

    AHEAD = "MDB256", Error, "A member that is down is ahead of the cluster",
    "The position saved on this pod is higher than what the primary component has committed, on the same history: it has transactions \
that the cluster lacks. The wrong member was bootstrapped.

When it joins, it aborts (`Reversing history … Data loss is possible`), and its saved state is zeroed. At the restart after that it \
is copied over, and the extra transactions are gone for ever. Kubernetes does this restart by itself within seconds.

Stop all of them now, before its next start, with the commands that are printed: the claims are retained (MDB136), an operator is \
suspended, the set is scaled to 0, and pods are deleted that the controller leaves. Then decide. `kubectl mariadb galera recover NAME` founds the cluster again from whoever is furthest, and what the \
primary component has written since it was founded is erased: save that first if it may matter. Who was in that component its files tell \
only after a clean stop; where servers of it were killed, give each of them a fresh copy afterwards (`kubectl mariadb rebuild POD`). Or save what only the member that is \
ahead has, and start the set again as it was: it takes a full copy then.";

    DISTRUSTED = "MDB257", Error, "A data directory is marked as not to be trusted",
    "`grastate.dat` of this member has a zero UUID, and its server does not run. Galera writes it when the data may be wrong: the member was \
voted out (MDB213), it aborted because it was ahead of the group, a state transfer over old data was cut, or it belonged to a cluster \
with a zero UUID (MDB207).

With a primary component alive it takes a full state transfer at its next start, and what is in it is replaced. If it was ahead or voted \
out, rows that only it has go with that: save the files or a dump first if they may matter.

Without a primary component do not elect it before somebody has looked at the data: the position that `--wsrep-recover` reports for it \
belongs to no history that can be compared.";
}
