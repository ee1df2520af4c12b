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

Let the rollout finish, or undo it, and run the command again.";

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
    "Every data directory was read, and none may be chosen: one of them may hold rows that the others lack, and that is not known; or they \
belong to different histories; or none of them is whole. Choosing anyway would erase what the others hold, without a warning.

`galera grastate` shows every member, what each choice would lose and why none is made. Make what could not be read readable, or decide \
with that list in hand. `operation abort` puts the set back to what it was.";

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
hold are erased by that, without a trace. Positions are an upper bound: changes of the membership take numbers, too.

Save it first if it counts: a copy of those volumes, or a dump from a server that is started alone on one. Then run the command that is \
printed: what you accept holds the positions, so that it fits no other loss. `-y` never implies it.";

    NOT_TO_ACT = "MDB733", Error, "mariadb-operator must not act on the cluster as it is",
    "Everything that was asked of a suspended operator, and everything it finds wrong, it does at once when it works again: it starts stopped \
members in any order, bootstraps a Galera cluster without a primary component by its own choice, changes the number of pods, or uses a forced \
bootstrap that was left. So what is wrong is put right first, and the command that is printed does it.

To let it act in spite of that set `spec.suspend` of the `MariaDB` object to false with kubectl.";
}
