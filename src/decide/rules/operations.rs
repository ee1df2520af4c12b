//! `MDB7xx`: refusals of commands that change something, and what they leave to be finished.

rules! {
    UNFINISHED = "MDB701", Error, "Another operation on this cluster is unfinished",
    "Every command that changes a cluster in several steps keeps a journal beside it, the ConfigMap `kubectl-mariadb.NAME`, which is the \
lock too. As long as an operation in it is unfinished no other may begin: both would judge the cluster by what the other one is changing.

`kubectl mariadb operation show NAME` says who began it and how far it is. If whoever carries it out is still at work, wait or ask it to stop \
with `operation stop`. If not, go on with `operation resume` or take it back with `operation abort`.";

    OWNED = "MDB702", Error, "Somebody owns the StatefulSet who cannot be told to stand still",
    "The StatefulSet has an owner, so a controller writes it: it would undo each step within a second, or worse, do half of it. Such a \
set is changed through the object that owns it.

For mariadb-operator that is the `MariaDB` object: it is suspended while members are stopped and started around it. Then that object must be \
readable and writable for you. Other owners are not known here.";

    GITOPS = "MDB703", Error, "A GitOps controller writes the StatefulSet",
    "Labels or annotations say that Argo CD or Flux applies this StatefulSet from a repository. With automatic sync it sets `replicas` \
back in the middle of an operation, when fewer members run than the repository wants: members would start in an order that nobody chose.

Pause it first with the command that is printed, then give `--gitops-paused`: whether it is really paused cannot be seen from the \
StatefulSet. A change made by somebody else in spite of that is noticed before every step, and nothing is overwritten.";

    AUTOSCALED = "MDB704", Error, "An autoscaler changes the number of members",
    "A HorizontalPodAutoscaler (perhaps made by KEDA) or a VerticalPodAutoscaler has this StatefulSet as its target. The first raises \
`replicas` while members are to stay down, the second evicts members in the middle. A Galera or replication cluster is not made to be scaled \
by load anyway: each new member takes a state transfer from the others.

Pause it with the command that is printed, and run the command again.";

    GOING = "MDB705", Error, "The StatefulSet is being deleted",
    "The StatefulSet has a deletion timestamp: Kubernetes is removing it, and its pods with it. Nothing is begun on it. The volume claims \
stay unless the retention policy says `whenDeleted: Delete`. Create the StatefulSet anew with the same name and it finds them again.";

    FOUNDS = "MDB706", Error, "The pod template founds a new cluster at every start",
    "The command, the arguments or the environment of the pod template hold a bootstrap switch: `--wsrep-new-cluster`, an address of \
`gcomm://` without members, or a variable that does the same. All pods share the template, so every container that restarts would found \
a second cluster beside the first, with the same name and data that drift apart.

Remove the switch from the template first, while the cluster runs. The commands of this plugin put such a switch into one pod of its own \
that goes away again, and nowhere else.";

    ROLLOUT = "MDB707", Error, "A rollout of the StatefulSet is unfinished",
    "Its pods are not all of the newest revision (`status.currentRevision` and `status.updateRevision` differ). Pods that are stopped now \
can come back with another image or configuration than they had, and a data directory that a newer server has opened must not be opened \
by an older one.

Let the rollout finish, or undo it, and run the command again.

Where no server runs any more it cannot finish. A set that is scaled to 0 forgets its older revision (Kubernetes 1.34), so every member comes \
back as the pod template says. Decide which image that shall be: with the newest one, let all have it (the command that is printed), and \
recover. With the older one, set it in the template first (`kubectl set image`), but only if no server of a newer series has opened a data \
directory yet.";

    NO_CLAIM = "MDB708", Error, "The data is not on a volume claim",
    "The data directory is on an `emptyDir` or on no volume at all. It dies with the pod object: to stop all members is to lose the database. \
Nothing is stopped.

Take a backup, and move the data to volume claims (`volumeClaimTemplates`) before anything else.";

    CLAIM_GOING = "MDB709", Error, "A volume claim is marked for deletion under its pod",
    "Somebody deleted the claim. Kubernetes waits with it as long as the pod exists, and then deletes it, usually with the data. Stopping \
the pod would carry that out. Nothing is stopped.

Make another good copy first: the others Synced or caught up, a backup taken, the reclaim policy of the PersistentVolume set to `Retain`.";

    NOT_THIS_KIND = "MDB710", Error, "The command does not handle this kind of cluster",
    "The order in which members stop and start is what keeps their data together, and it differs by kind. In this version `stop` and `start` \
handle Galera clusters of two or more members on a plain StatefulSet. Others are refused before anything is touched.

A single server has no order: scale it to 0 and back. For GTID replication stop the replicas before the primary and start the primary first: \
by hand, one at a time.";

    NOT_WHOLE = "MDB711", Error, "The cluster is not whole, so it is not stopped",
    "A planned stop ends with one member that holds everything. That is only sure when all members are Synced in one primary component \
before the first one stops, with nobody else in the group: a member that is behind, cut off or in another component may end as the last \
one, or hold rows that the last one lacks.

`kubectl mariadb status` says what is wrong. Heal that first. An arbitrator (garbd) must be stopped before the members: beside it no \
member is ever the last one of the group, so none would be safe to start first.";

    CHANGED_OUTSIDE = "MDB712", Error, "Somebody else changed the StatefulSet in the middle",
    "`replicas` or `ordinals.start` is neither what this operation found nor what it wrote: a person, a pipeline, or a controller was there. \
Nothing was overwritten, and no further step is taken on a plan that was made for another state.

`operation resume` looks anew and shows what it would do now; `operation abort` takes back what is still as this operation wrote it, and \
leaves the rest alone.";

    NOT_LAST = "MDB713", Error, "The member that stopped last is not proven to hold everything",
    "After the stop the state files of all members were read. The last one should have the highest position of one history, a known seqno, \
`safe_to_bootstrap: 1` and no `gvwstate.dat`. It does not, so it must not simply be started first: rows could be lost.

No row is lost yet: all volumes are as the servers left them. Compare the positions with `kubectl mariadb galera grastate` before any \
member is started.";

    NO_RECORD = "MDB714", Error, "It is not known how the cluster was stopped",
    "`start` brings back exactly the member that stopped last, and it knows that from the record that `stop` writes into the ConfigMap \
`kubectl-mariadb.NAME`. There is none, so the cluster was stopped in another way, or the record was deleted.

`kubectl mariadb galera grastate` reads the state files of all members and says which one has to start first, and why.";

    FILES_CHANGED = "MDB715", Error, "The state files are not as the stop left them",
    "The member that stopped last has another position now than the one that was written down, or it is no longer marked as safe. It was \
started in between: every start, even one that failed, changes `grastate.dat`. Another member may have taken writes meanwhile.

Compare all members with `kubectl mariadb galera grastate` before one of them founds the cluster again.";

    FOUNDER_ENDED = "MDB716", Error, "The pod that founded the cluster has ended again",
    "The bootstrap pod carries the first member until the others have joined. Its server ended before that, and no other member was \
Primary. Everything was read again and a member elected anew, because a decision that was made for the state before must not simply be \
repeated; and the server of that one has ended, too. Something keeps it from running: its configuration, its memory, its volume, a \
probe that kills it.

Its log says what. When that is mended, `operation resume` removes the ended pod, reads all state files again and goes on.";

    SECOND_CLUSTER = "MDB717", Error, "A member founded a second cluster and was stopped again",
    "Instead of joining, a member became Primary alone: its start script or its configuration founds a cluster when it thinks it is the \
first one, or it could not reach the others. It would have taken writes that the others never see, so its pod was stopped at once.

Look at the start script and at the address list of the members, and at the network between the pods, then go on with `operation resume`. \
What that member wrote in the few seconds it ran is in its data directory only.";

    NO_RETURN = "MDB718", Error, "There is no way back any more, only forward",
    "Each operation has a step from which it cannot be taken back: with the last member stopped, or with the first one started, the state \
before cannot be restored by undoing fields. `operation show` names that step.

Finish the operation with `operation resume`. The opposite command then leads back: `start` after `stop`.";

    OTHER_PLAN = "MDB719", Error, "What is left to do is not what was confirmed",
    "The cluster has changed in a way that asks for other steps than those that were shown and confirmed. No step is taken that nobody has \
agreed to.

`operation resume` shows the new plan and asks again. With `-y` it goes on without asking.";

    TAKEN_OVER = "MDB720", Error, "Somebody else has taken this operation over",
    "The journal names another holder: this program was stopped or cut off for longer than a heartbeat may stand still, and somebody went on \
with `operation resume` or `operation abort`. It sends nothing more.

`kubectl mariadb operation show NAME` says who carries it out now and how far it is.";

    HELD = "MDB721", Error, "The operation is being carried out by somebody else",
    "The heartbeat in the journal moves, so another run of this program is at work on it. Two must never be: each would take the other's \
steps for foreign changes.

Wait for it, or ask it to stop after its current step with `kubectl mariadb operation stop NAME`. An operation can be taken over only after \
its heartbeat was seen standing still for 60 seconds.";

    IMAGE_CHANGED = "MDB722", Error, "The image was changed while the cluster was stopped",
    "The pod template names another image than at the stop. A data directory that a newer server has opened must not be opened by an older \
one, and a newer server converts it in a way that cannot be taken back: that is an upgrade, and it is not hidden in a start.

Set the image back with the command that is printed, start the cluster, and upgrade it one member at a time while it runs.";

    NOBODY_ELECTED = "MDB723", Error, "No member may found the Galera cluster",
    "None of the data directories may be chosen: one of them could not be read, or may hold rows that the others lack, and that is not known; \
or they belong to different histories; or none of them is whole. Choosing anyway would erase what the others hold, without a warning.

`galera grastate` shows every member, what each choice would lose and why none is made. Make what could not be read readable and resume. If \
it is lost for good, abort, and give it up with the command that is printed: `galera bootstrap` with `--accept-data-loss` and the words for \
that volume. `operation abort` puts the set back to what it was.";

    NEEDS_COPY = "MDB724", Error, "A member of a living cluster needs a fresh copy",
    "The cluster has a primary component, so nothing has to be recovered; a member is outside of it and will not come back by itself: it was \
voted out, has left for good, or holds another history. `kubectl mariadb rebuild POD` gives it a fresh copy from the others by a full state \
transfer, and says first what only this member holds, which is lost by that.";

    NO_SOURCE = "MDB726", Error, "Nobody else could give the member a copy",
    "A rebuild throws the data of one member away and takes it anew from the others. So the others must be exactly one primary component, \
with one history, and at least one of them Synced and not held back. They are not: the member that was named may be the last good copy, or \
it cannot be told whose copy is the right one. Its data is left alone.

`kubectl mariadb status` says how the others stand. If no server is Primary, `kubectl mariadb galera recover NAME` comes first. After a split \
brain with several members on each side somebody has to choose a side, and stop the servers of the other one, before one of them is rebuilt.";

    NOT_SPARED = "MDB727", Error, "The member cannot be taken away at this moment",
    "The server of a member stops before it takes its copy. While it is away the others must keep the majority, also if it goes without a \
goodbye; nobody else may be away, and no transfer may be under way that its stop would break: two members of a primary component never stop \
at once. An ordered set makes no pod above one that is not Ready: that one comes first. What stands against it is listed; most of it passes. A \
member that takes a copy already is left to it.

`kubectl mariadb can-stop POD` asks the same question, and wants the others less busy.";

    ONLY_HERE = "MDB728", Error, "The member holds what nobody else has",
    "A rebuild would throw it away for good. Its history is another one than that of the others, or it is ahead of them, or it is a primary \
component of its own with clients that write there.

Save it first if it counts: dump what you need from that server, or take a copy of its volume. Then run the command that is printed: what you \
accept holds the position, so that it fits no other loss. `-y` never implies it.";

    VOLUME_STAYS = "MDB729", Error, "The volume is not lost, or no new one would come",
    "`--new-volume` deletes the volume claim, and with most classes the data with it. It is for a volume on the disk of a node that is gone: \
the node object no longer exists, or carries the taint `node.kubernetes.io/out-of-service`. A volume that can still be mounted is kept: the \
member takes its copy into it, without `--new-volume`. And a claim whose class has no provisioner is not deleted, for nobody would make a \
volume for the next one: make a PersistentVolume for it first, then delete claim and pod by hand.";

    NODE_AWAY = "MDB730", Error, "The node of the member's volume does not serve it",
    "The data lies on the disk of a node that is gone or does not answer. If it is gone for good only a new volume can take a copy. A node \
that does not answer is not proven to be gone: it may be back in a minute, and the server on it may run.

If you know that the machine is off, delete its Node object or set the taint that is printed, and run the command with `--new-volume`.";

    NOT_WHOLE_DATA = "MDB731", Error, "The chosen data directory must not found a cluster",
    "A data directory that is half a copy, that Galera marks as not to be trusted (zero UUID), that has no database or no known position is \
never the base of a cluster: what it reports as its position is not what it holds, and all others would copy it. No flag changes that.

`galera grastate` shows every member. Choose another one, or restore a backup.";

    WOULD_LOSE = "MDB732", Error, "What other members hold more would be erased",
    "The members that join take the data of the one that founds the cluster. Write sets, histories and unknown positions that only others \
hold are erased by that, without a trace; so is whatever is on a volume that could not be read: before its server starts again its data is \
marked as not to be trusted, and it takes a full copy. Positions are an upper bound: changes of the membership take numbers, too.

Save it first if it counts: a copy of those volumes, or a dump from a server that is started alone on one. Then run the command that is \
printed: what you accept holds the positions, or names the volume, so that it fits no other loss. `-y` never implies it.";

    NOT_TO_ACT = "MDB733", Error, "mariadb-operator must not act on the cluster as it is",
    "Everything that was asked of a suspended operator, and everything it finds wrong, it does at once when it works again: it starts stopped \
members in any order, bootstraps a Galera cluster without a primary component by its own choice, changes the number of pods, or uses a forced \
bootstrap that was left. So what is wrong is put right first, and the command that is printed does it.

To let it act in spite of that set `spec.suspend` of the `MariaDB` object to false with kubectl.";

    NOT_SETTLED = "MDB734", Error, "The cluster is not whole, so no pod of it is replaced",
    "A pod is replaced only while all others are there and in step: every Galera member Synced in one component, every replica following \
the primary, caught up and read-only, every pod Ready. Otherwise the restart of a healthy one could take the majority or the last good copy \
away.

`kubectl mariadb status` says what is wrong. Heal that first. A single member that does not serve is restarted with \
`kubectl mariadb restart --pod POD`, and an image that does not start is replaced with `kubectl mariadb upgrade NAME --image ANOTHER`.";

    VERSION_PATH = "MDB735", Error, "The image leaves out a long-term series",
    "The vendor describes and tests upgrades from one long-term series to the next (10.6, 10.11, 11.4, 11.8, 12.3). A larger step often works, \
and nobody has tried it with your data and configuration: removed options and changed defaults add up.

Go step by step. Where a larger step was tried on a copy, `--allow-lts-skip` takes it.";

    NOT_HELD = "MDB736", Error, "Kubernetes would not hold the other pods back",
    "An upgrade is held by the partition of a rolling update: pods below it keep their image, even when they are restarted by somebody else. \
With the update strategy `OnDelete` there is no partition, and every pod that restarts for any reason takes the newest template. With \
`maxUnavailable` above 1 Kubernetes takes several pods down at once.

The command that is printed changes the strategy; that alone restarts nobody as long as all pods are of the newest revision.";

    DOES_NOT_COME_UP = "MDB737", Error, "A pod that was replaced does not come up",
    "The pod has the new image, and its container cannot be created, or ends again and again; or its server is another version than the image \
was when it was tried. The partition holds all others on what they run; the cluster goes on without this pod.

If the image is wrong, name another one: `kubectl mariadb upgrade NAME --image ANOTHER`. If the old one is to come back and the series is the \
same, `kubectl mariadb operation abort NAME`. If it is the data or the configuration of this pod, its log says so; when that is mended, \
`kubectl mariadb operation resume NAME` goes on.";

    IMAGE_UNUSABLE = "MDB738", Error, "The image cannot be used",
    "Before anything is changed the image is started once in a pod without any volume, on the nodes where the servers may run, and its server \
is asked for its version. That failed: the image cannot be pulled, or there is no MariaDB server in it. Nothing was changed.";

    PRIMARY_NOT_LAST = "MDB739", Error, "The primary would be newer than its replicas",
    "A replica may be newer than its primary, not the other way round: what the newer one writes the older one may not understand. Kubernetes \
replaces pods from the highest ordinal down, so the primary has to be the lowest ordinal, and is replaced after all of its replicas.

`upgrade` hands the role over to the lowest ordinal by itself, without loss, where it can move the clients along: a Service has to select the primary's pod by `statefulset.kubernetes.io/pod-name`, and every replica has to follow the primary by GTID and by the name of its pod. What is missing for that is said. Mend it, or make the pod with the lowest ordinal the primary by hand, move the clients with it, and begin again.";

    UNSAID = "MDB740", Error, "It is not said what is to be rolled out",
    "`--image` names the image that the database container is to run. It may be left out only to go on with a rollout that was held by a \
partition. `--partition` names the lowest ordinal that gets it: with pods db-0 to db-2, `--partition 2` replaces db-2 alone.";

    DOWNGRADE = "MDB741", Error, "An older server must not open the data of a newer one",
    "A server of a newer series converts the data it opens, and the server itself does not stop an older one from starting on them (seen with \
11.8 and 10.11): what it makes of them is not known. No flag changes that.

A pod that a newer series has opened goes back by a fresh copy of an older backup, not by an image. Pods that were not upgraded yet stay as \
they are: nothing has to be done for that.";

    OPENS_ITSELF = "MDB742", Error, "A replica would come back as a server that takes writes",
    "Its configuration does not set `read_only`, so it is on only because somebody set it while the server ran: after a restart clients could \
write there, and what they write the primary never gets. Set `read_only=ON` in the configuration of all servers of the set; the one that is \
the primary is opened by hand or by an operator.";

    OUTSTAYED = "MDB743", Error, "A pod did not stop within its grace period",
    "Kubernetes asks a server to stop, and kills it when the grace period of its pod (`terminationGracePeriodSeconds`, 30 s unless somebody \
said otherwise) is over. A server that is killed has to recover at its next start, and a Galera member has lost its position with that. The \
pod that was replaced was still there when its period was over. All are together again, and nobody else is taken before somebody has seen \
this: the next ones would probably be killed, too.

What takes long is mostly what a server still has to write to its data files. Let it write before it is stopped: `SET GLOBAL \
innodb_max_dirty_pages_pct = 0` on the server that is next, until its status `Innodb_buffer_pool_pages_dirty` is low; the restart forgets the \
setting. `kubectl mariadb operation resume NAME` goes on, and stops again after the next pod that outstays its period.

A longer period is said in the pod template of the StatefulSet, in the values of its chart, or in `spec.terminationGracePeriodSeconds` of the \
`MariaDB` object (not in 25.10 of mariadb-operator, which has no such field). A pod keeps the period that it was made with, so it helps from \
the stop after the next one on, and as a change of the template it replaces every pod once more. Change it when this operation has ended, on \
a StatefulSet of your own with `updateStrategy.rollingUpdate.partition` at the number of replicas in the same change: nobody is replaced by \
that, and `kubectl mariadb upgrade NAME` then takes one pod after the other.";

    ONE_POD_ONLY = "MDB744", Error, "No second pod can mount the volume of the member",
    "What is to be done needs a short-lived pod that mounts the volume beside the pod of the member. The volume claim has the access mode \
`ReadWriteOncePod`: Kubernetes lets one pod alone use it, and a second one waits until the first is gone. Nothing was changed.

Where the pods are gone (`stop`, `galera recover`) such volumes are read and written as any other. To give one member of a living cluster \
a fresh copy all the same, take a backup, delete its claim and then its pod: the set makes a new volume, and the member takes a full copy \
into it. What becomes of the old volume its reclaim policy says.";

    OPERATOR_SCALES = "MDB745", Error, "mariadb-operator scales this cluster itself",
    "The StatefulSet belongs to a `MariaDB` object, and only what is written there lasts. The operator does not scale Galera one member at a \
time: it adds or removes all pods of the difference at once, allows odd numbers only (`replicasAllowEvenNumber` lifts that), and restarts \
every other member afterwards, since their configuration lists them all. So this command does not step through it. A replicating cluster has \
at least two servers, and one that was asked for without replication has one.

The command that is printed asks the operator for it: `spec.replicas` of the `MariaDB` object, never `kubectl scale`, which skips its checks \
and can leave it refusing its own work. Before that every member has to be well, and no volume of an earlier member may lie where a new one \
comes. Wait until the object says Ready and Updated, and still does some seconds later.";

    TO_ZERO = "MDB746", Error, "Scaling to 0 is a stop",
    "With replicas at 0 the database is down, and which member stopped last decides who may start first. `scale` keeps no record of that, \
and `replicas: 0` alone lets several stop at once.

`kubectl mariadb stop NAME` stops the members in order, verifies that the last one holds everything and writes down which one that was; \
`kubectl mariadb start NAME` brings back exactly that one first.";

    OTHER_NUMBER = "MDB747", Error, "The set has another number of replicas than was expected",
    "`--current-replicas` says how many replicas there must be now, as with `kubectl scale`: the number was another one when the command \
was written down, and somebody has changed it since. Nothing is changed.

Look at the cluster, and run the command again with the number of today, or without `--current-replicas`.

`--replicas` of `galera recover` and `galera bootstrap` is for a set that is scaled to 0 alone: any other says itself how many members \
it has.";

    NOT_SCALED = "MDB748", Error, "This cluster does not become larger or smaller by another number of pods",
    "A single server, or servers that do not know each other, share no data. One pod more would be an empty, writable database beside the \
first, and clients that reach it through the same Service would write there; one pod less would take rows away that nobody else has. Members \
above ordinal 8 are not handled, either.

To make a cluster of it, set up Galera or replication first. To remove one of several independent servers, move its data, and scale the \
StatefulSet by hand.";

    NO_SEED = "MDB749", Error, "A new replica cannot be seeded",
    "A pod more of a replicating set would start with an empty data directory: unless the primary still has every binary log since its \
first day, such a replica stops with error 1236, or holds less than the others without a word. So each new replica gets a volume, and on \
it a copy of another replica, before its pod is there: `mariadb-backup` streams it from pod to pod (port 4444, by `socat`), with the \
`master.info` of the one that gives. The one that gives follows the primary over one channel, by GTID, without a delay, and logs what it \
replicates. The image has `mariadb-backup`, `mbstream` and `socat`, as the official one does, and no NetworkPolicy stands between the pods.

After its start the new replica must follow: a `server_id` of its own (most start scripts count it from the ordinal), both threads running, \
no error. It is told what is missing. `kubectl mariadb operation abort NAME` takes the replica away again.

By hand: take a physical copy of a replica with `mariadb-backup --backup --slave-info` and prepare it; make the volume claim of the new \
ordinal (the claim template's name, then the pod's name) and restore the copy into it; scale the StatefulSet by one; in the new server set \
`gtid_slave_pos` to the position of the copy, then `CHANGE MASTER TO … MASTER_USE_GTID=slave_pos`, `START SLAVE`, and `read_only=ON`. \
`kubectl mariadb status` says whether it follows the primary, and `kubectl mariadb sql NAME --on all` shows rows side by side.";

    SCALE_NOT_NOW = "MDB750", Error, "The cluster cannot be scaled at this moment",
    "A member is added or removed only when all members are Synced in one primary component, with nobody else that holds data in the group: \
a member that leaves takes a vote with it, and one that joins has a vote before it has data and takes a copy from one of the others. The one \
that leaves must not be a donor or a joiner, and the others must keep the majority without it.

What stands against it is listed. Most of it passes: run the command again then. Heal the rest first; `kubectl mariadb status` says how.";

    STALE_VOLUME = "MDB751", Error, "The volume of an earlier member lies where a new one is to come",
    "A scale-in keeps volumes. A pod of the same ordinal gets the same volume again, with whatever is on it: the same history, from where \
its server takes what it misses; half a copy; or another history, which a full copy erases without a word.

`--reuse-pvcs` reads the volumes first and starts new members on them if they hold nothing that the cluster has not. `--prune-pvcs` reads \
them, too, and deletes the claims. Without either nothing is started on them.

What the volume of a replica holds is told by the last positions of its binary log, which a server writes when it stops cleanly. If every \
server has logged these, its replica can go on there, or the volume can go; otherwise it is left alone, and deleted only when its loss is \
accepted by name (`--prune-pvcs --accept-data-loss`, or `pvc prune`).";

    VOLUME_FOREIGN = "MDB752", Error, "A volume may hold what the cluster never had",
    "Its data directory names another history (state UUID) than the cluster, or a database whose history nobody can tell, or its server was \
alone in a primary component when it ended (`safe_to_bootstrap: 1`, or a last view that names nobody else) and the others go on without it. It \
may be all that is left of another cluster, or of the side of a split brain that was given up. A server that starts on it joins by a full copy, \
which erases it without a word, or takes only what it misses and keeps rows that nobody else has; so it is never reused.

Save it first if it counts: mount the claim in a pod of its own and dump it, or make a snapshot of the volume. Then \
run the command that is printed: what you accept holds the positions, so that it fits no other loss. `-y` never implies it.";

    VOLUME_AHEAD = "MDB753", Error, "A volume is ahead of the cluster",
    "Its data directory has the same history as the cluster and a higher position: write sets that were acknowledged there and that no member \
has. A server that starts on it gives up (\"Reversing history\"), and takes a full copy one restart later: the rows are gone then. So it is \
neither reused nor deleted, whatever is accepted.

Read those rows from that volume (mount the claim in a pod of its own, start a server without Galera on a copy \
of it) and write them to the cluster, and delete the claim by hand; or find out how the cluster came to run without them: it may have been \
founded from a member that was behind.";

    SERVER_NEEDED = "MDB754", Error, "A server that is needed would be removed",
    "The highest ordinals leave a replicating set first. Among them is the primary, a server that others copy from, or the last replica that \
follows the primary: without it clients cannot write, others stop, or there is only one copy left.

Make a server with a lower ordinal the primary, let the others copy from it, or repair the replicas that are to stay. Then run the command \
again.";
    NOT_AS_WANTED = "MDB755", Error, "Not as many members run as are wanted, so no volume is left over",
    "A volume is left over if its ordinal is not wanted any more. That cannot be told while the cluster is stopped or scaled to 0, while \
Kubernetes has not acted on the last change of the set, or while mariadb-operator was told to run more members than it does now: the \
volumes may be all there is, or be wanted in the next minute.

Start the cluster, or let the change come to its end, and run the command again.";

    SURVIVORS_UNWELL = "MDB756", Error, "The members that go on are not all well, so no left-over volume is deleted",
    "A left-over volume may go because the members hold all that it holds. That is judged in two looks eight seconds apart, in which every \
wanted member answers, is Ready and, with Galera, Synced in one primary component with nobody else in it, without an error that `status` \
would name. While one of them is down a left-over volume may be the best copy there is.

Make the cluster whole first; what is wrong with it is listed.";

    VOLUMES_STAY = "MDB757", Error, "No left-over volume may go",
    "Each was read by a short-lived pod, and each has a reason to be kept: its position is unknown, it holds another history, it is ahead of \
the members, or somebody mounts it. Unknown is kept: the files of a Galera member that was killed tell no seqno, and those of a replica that \
was killed no GTIDs (one that stops cleanly writes them beside its binary log). Whoever deletes such a volume may delete rows that nobody else has, the last trace of a split brain for \
example.

Save it first if it counts: a VolumeSnapshot, or a dump from a server that is started alone on a copy. Then run the command that is \
printed: what you accept holds the claim and its position, so that it fits no other loss. `-y` never implies it.";

    CLASS_EXPANDS_NOT = "MDB758", Error, "The storage class does not allow its volumes to be expanded",
    "Kubernetes takes a larger request for a claim only if its StorageClass has `allowVolumeExpansion: true`, and the driver has to be able \
to do it. Whoever runs the storage can switch it on for a class whose driver can; the claims that are there then follow the class.

Otherwise move the members to another class one at a time: a claim template of the new class, and a fresh copy for each member.";

    NEVER_SHRINKS = "MDB759", Error, "A volume never shrinks",
    "The size that was asked for is less than what a claim asks for already. Kubernetes refuses that, and no driver does it.

For smaller volumes give each member a fresh copy on a new, smaller one.";

    SIZE_OF_OPERATOR = "MDB760", Error, "The size of the volumes belongs to mariadb-operator",
    "On a cluster of mariadb-operator the size is said in the `MariaDB` object (`spec.storage.size`). When it is raised the operator patches \
every claim with the label of its storage, also those of ordinals that are gone, deletes the StatefulSet without its pods and makes it anew \
with the larger template. A claim that grew without it would have another size than the object says.

The command that is printed raises it. There is no way back: the webhook refuses a smaller size, a class that cannot expand leaves it failing \
for ever, and failover and recovery stand still until it is done.";

    CLAIM_UNFIT = "MDB761", Error, "A volume claim cannot be expanded now",
    "Before anything changes every claim of the wanted ordinals has to be there, bound to a volume, of a storage class, and not marked for \
deletion, and no earlier expansion of it may have come to nothing. One that does not fit would end the command in the middle, with volumes of \
different sizes.";

    CHANGED_MEANWHILE = "MDB762", Error, "The cluster has changed, so the rest of the volumes was left alone",
    "Before each volume the journal is written, and the set, its members and whoever mounts the volume are looked at again. Somebody scaled the \
set, an operation was begun, a member is not well any more, or the claim is another one. What was done before stands; nothing more is done.

See how the cluster stands with `status` and `operation show`, and run the command again.";

    NOT_EXPANDED = "MDB763", Error, "A volume was not expanded, so the rest was left alone",
    "Kubernetes took the larger request, and the storage did not follow: the driver says that it cannot, or it did not come in time. The request \
stays, for Kubernetes goes on trying; a request that the storage can never meet may be lowered again to anything above the size that the volume \
has (Kubernetes 1.34 and later).

The events of the claim say what the driver says. The claims that come after it were not touched. Run the command again when the cause is \
gone: what is done already is not done again.";

    SAFE_WAY_CLOSED = "MDB774", Error, "mariadb-operator would not scale in its safe way now",
    "mariadb-operator adds a replica safely only while nothing else is under way: every pod Ready, no rollout, switchover, recovery, restore \
or expansion, its object not suspended. It does not wait for that. Told another number at another moment, it lets the StatefulSet grow at \
once, and the new server starts on an empty data directory. So the object is told one number at a time, and only while the operator's own \
conditions and all servers say that the cluster is at rest; that is looked at again before each replica.

What stands against it is listed. Most of it passes. If the object says another number than the set already, the command that is printed \
puts it back to what runs; nothing is lost by that.";

    NOT_SEEDED = "MDB775", Error, "mariadb-operator did not bring a new replica",
    "The operator takes a physical backup, restores it into a new volume and starts the new replica there. One of that failed, or something \
came between that would have let the set grow without a copy. It was called off at once: the object says the number of replicas again that \
run, and no server was started. The operator itself would have tried again without end.

The cause is listed in its own words; `kubectl describe physicalbackup` and the log of the backup's job say more. `operation abort` ends it, \
`operation resume` tries again when the cause is gone. A volume claim that the operator made for the new replica may be left: \
`kubectl mariadb pvc list NAME` shows it, and it has to go before the next try.";

    NO_TEMPLATE = "MDB776", Error, "mariadb-operator has nothing to copy a new replica from",
    "A new replica needs a copy of the data. mariadb-operator makes one if `spec.replication.replica.bootstrapFrom` of the `MariaDB` object \
names a `PhysicalBackup` as a model for the backup that it takes then; without that it ends in ScaleOutError.

Make a `PhysicalBackup` that runs never by itself (`spec.schedule: {cron: '0 3 1 1 *', suspend: true}`, `spec.mariaDbRef` the cluster, \
`spec.storage` a place that every node reaches, S3 best), name it in the object (`bootstrapFrom: {physicalBackupTemplateRef: {name: NAME}}`), \
and run the command again.";

    LEFT_OF_OPERATOR = "MDB777", Error, "Something lies where mariadb-operator would make a new replica",
    "mariadb-operator adds no replica where a volume claim of its ordinal lies, which every scale-in leaves: it ends in ScaleOutError. Nor may \
there be anything left of an earlier scale-out's backup, the `PhysicalBackup` NAME-pb-scaleout and the claim of that name: an old backup \
would be restored for a new one, and on disks of nodes the claim keeps the next backup's pod from every node but one, for ever.

`kubectl mariadb pvc prune NAME` deletes volumes of earlier replicas, and says what they hold. What is left of a backup holds nothing that \
the cluster has not; the commands that are printed delete it.";

    CLIENTS_LED = "MDB778", Error, "Clients cannot be kept away from one member alone",
    "With --hold-traffic the pod that founds the cluster is never Ready, so that no Service leads clients to it until you have looked at its \
data. The other members have to find it all the same: through the set's own Service (`spec.serviceName`), which must publish addresses of pods \
that are not Ready (`publishNotReadyAddresses: true`), while no Service of the clients may do that.

Change the Service that is named, or leave --hold-traffic out: clients then reach the founder as soon as it is Ready.";
}
