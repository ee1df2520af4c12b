//! `MDB1xx`: what Kubernetes does with the set, its pods, their containers and nodes.

rules! {
    SCALED_TO_ZERO = "MDB101", Error, "The set is scaled to 0: no server runs",
    "`spec.replicas` of the StatefulSet is 0, so Kubernetes runs no pod of it. The volumes stay unless \
`persistentVolumeClaimRetentionPolicy.whenScaled` is `Delete`.

This is either a planned stop, or the middle of a recovery that somebody (or an operator) has begun: ask before you scale up.

Before starting a Galera cluster again, know which pod stopped last. Plain scaling up starts pod 0 first, which is right only if \
pod 0 holds the newest data and is told to bootstrap. After a stop in order the last one has `safe_to_bootstrap: 1` in \
`grastate.dat`; after a simultaneous stop no one has. `kubectl mariadb galera recover NAME --replicas N` reads the volumes of N members \
and lets the one that is furthest found the cluster again.";

    NO_PODS = "MDB102", Error, "The set wants pods and has none",
    "The StatefulSet has `replicas` above 0, and not one of its pods exists. The controller could not create them, or has not tried yet.

Usual causes: a quota, an admission webhook or a pod security rule refuses the pod; the service account is missing; the controller \
manager does not run. The reason is in the events of the StatefulSet, not of a pod: `kubectl describe statefulset`.

The volumes are not touched by this. Do not delete claims or the set to make it go away.";

    POD_MISSING = "MDB103", Error, "A pod of the set does not exist",
    "The set wants this ordinal and there is no such pod. Either the pod was just deleted and comes back in seconds, or the controller \
cannot create it, or it waits: with `podManagementPolicy: OrderedReady` (the default) the controller creates a pod only when all lower \
ordinals are Ready, so one pod that never gets Ready keeps all higher ones away.

A member that is away counts as lost for the quorum of Galera unless its server stopped cleanly, and serves no reads.

Look at the events of the StatefulSet, and at the lowest pod that is not Ready first.";

    SET_BEING_DELETED = "MDB104", Error, "The StatefulSet is being deleted",
    "The StatefulSet has a deletion timestamp. Its pods are going away; the claims go too if \
`persistentVolumeClaimRetentionPolicy.whenDeleted` is `Delete`.

A deletion cannot be taken back. If it was not meant: save the claims first (they are what holds the data), for example by removing \
the owner reference of the set from each claim, and by setting the reclaim policy of each PersistentVolume to `Retain`.";

    UNSCHEDULABLE = "MDB105", Error, "A pod cannot be placed on any node",
    "The scheduler finds no node for this pod; its message says why for each group of nodes. Usual causes: no node has the requested CPU or memory \
left; a taint without toleration; anti-affinity with fewer nodes than pods; a volume that exists only on a node \
or in a zone that is cordoned or gone.

A pod whose volume is on a local disk of a lost node stays unplaced until that node is back: its data is there and nowhere else. \
Do not delete the claim to get the pod going before you know that another member holds all the data.";

    IMAGE_PULL = "MDB106", Error, "An image cannot be pulled",
    "The node cannot get the image of this container: wrong name or tag, registry unreachable, or no right to pull \
(`imagePullSecrets`).

During a rollout this stops the rollout at this pod, and the other members go on with the old image. Put the right image into the \
template. Under `OrderedReady` the controller does not replace the broken pod with the corrected template by itself: after the \
correction, delete this one pod.";

    INIT_FAILING = "MDB107", Error, "An init container fails",
    "An init container of this pod ends with an error, so the database container has not been started. Nothing is wrong with the \
data because of this: the server did not run.

Read the log of that init container. Usual causes: a volume that cannot be written (ownership, full), a ConfigMap or Secret without \
the expected key, a peer that cannot be resolved.";

    POD_FAILED = "MDB108", Error, "A pod has failed as a whole",
    "The phase of the pod is `Failed`: its containers have ended and are not restarted in this pod. The usual cause is eviction, when \
the node runs out of memory or disk, or a node that was shut down. The controller of the set deletes and recreates such a pod.

If it stays: look at the pod's `status.reason` and at the conditions of the node.";

    STARTING = "MDB109", Warning, "A pod is starting",
    "The pod or its server was started a short time ago and does not answer SQL yet. Image pull, mounting, initialisation of an empty \
directory, InnoDB crash recovery and, with Galera, joining the others all happen in this time.

Look again in a minute. A large redo log can make crash recovery take long: 1.5 GB of it took 4.5 s on a fast disk. Make sure that \
the startup and liveness probes leave time for this; a probe that kills a server during recovery starts the work again.";

    CANNOT_START = "MDB110", Error, "A container cannot be created",
    "The node is not able to create or run the container; the reason and message of the kubelet are shown. Usual causes: a ConfigMap \
or Secret (or a key of one) named in the template does not exist, a bad command, a mount that fails, a security setting that the \
node refuses.

The server has not been started, so the data is as it was.";

    CRASH_LOOP = "MDB111", Error, "A container crashes again and again",
    "The container ends soon after each start, and Kubernetes waits longer and longer between the starts (10 s, 20 s, 40 s … 5 min). \
Exit code and reason of the last end are shown; the log of the last run (`kubectl logs -p`) says why.

Exit code 137 is a SIGKILL: out of memory (then the reason is `OOMKilled`), a liveness probe that gave up, or somebody's kill. \
134 and 139 are an abort or a crash of the server. With Galera, exit code 1 about 34 s after each start, with `failed to reach \
primary view` in the log, means that there is no primary component to join: the cluster as a whole is down, and this pod waits for \
the others, not the other way round.

With Galera a crash loop is not harmless: a start that fails replaces the saved position in `grastate.dat` by -1, and a member that \
is *ahead* of the others loses what only it has at its second restart. Find out why it ends before you let it go on, and do not \
delete the pod or its claim on a guess.";

    CONTAINER_ENDED = "MDB112", Error, "The server's container has ended",
    "The database container is not running at this moment; Kubernetes restarts it. Exit code, signal and reason are shown. If it comes \
back, the next look shows it as starting or joining; if not, as crashing again and again (MDB111).

A member that was killed has left no position in `grastate.dat`. The official image does not recover it at the next start, so such a \
member usually takes a full state transfer (SST) when it returns, even after a short absence.";

    OOM_LOOP = "MDB113", Error, "The server is killed for want of memory, and does not run",
    "The kernel killed the container because it used more memory than its limit (`OOMKilled`), and it is not running now. Restarting \
does not help: the next run needs as much.

Compare `resources.limits.memory` with `innodb_buffer_pool_size` plus what connections and Galera's cache need; on a Galera member \
the applying of large transactions counts too. Raise the limit or lower the pool, in the template. Each kill is a crash: InnoDB \
recovers, Galera may need a full state transfer.";

    OOM_KILLED = "MDB114", Warning, "The server was killed for want of memory within the last day",
    "The last run of this container ended as `OOMKilled`: the kernel killed it at its memory limit. It runs again, but what filled the \
memory can return, and every such kill is a crash for the cluster.

Compare `resources.limits.memory` with `innodb_buffer_pool_size`, the number of connections and their buffers.";

    RESTARTED = "MDB115", Info, "The server was restarted within the last hour",
    "The database container of this pod has ended and was started again. Exit code, signal and time are shown. Code 0 is a clean stop, \
137 a SIGKILL, 134 or 139 a crash of the server.

Status counters of this server started at zero with it, so averages and sums of its peers do not compare.";

    NOT_READY_SERVES = "MDB117", Warning, "A pod is not Ready although its server is fine",
    "The server answers SQL and is in order, but Kubernetes holds the pod for not Ready: Services send it no clients, and a rollout or \
an ordered start waits for it.

Either the pod needs a moment (the next probe makes it Ready), or the probe asks the wrong thing: a password that was changed, a \
client name that the image no longer has (`mysql` is missing in 11.x images), a timeout below the probe's own start time, a sidecar \
that is not Ready.";

    READY_DOES_NOT_SERVE = "MDB118", Warning, "A pod is Ready although its server cannot serve",
    "Kubernetes holds the pod for Ready and sends clients to it, but its server refuses or cannot answer their statements. The \
readiness probe asks too little: `SELECT 1`, `mysqladmin ping` and `mysqladmin status` all succeed on a Galera member that is \
non-Primary or cut off (seen on 10.11).

Clients of the Service get error 1047 or hang on this pod. Use a probe that reads the state, for example \
`wsrep_ready` = ON and `wsrep_local_state` = 4, or `healthcheck.sh --galera_online` of the official image. Why the server does not \
serve is another finding.";

    STARTS_LONG = "MDB119", Error, "A server has been starting for more than ten minutes",
    "The container has been running for more than ten minutes and its server still answers no SQL, and no file says that it receives \
a state transfer. It is in a very long recovery, waits for something in its start script, or hangs.

The log says what it does last. Do not kill a server in InnoDB recovery: the work starts again. If the process list of the container \
shows no server at all, the start script is what waits.";

    SERVER_HANGS = "MDB120", Error, "A server process is alive and answers nothing",
    "The server takes connections but says nothing within the deadline, or its process is stopped by a signal (state `T`). Usual causes: \
storage that does not answer (state `D`), a stopped or frozen process, no CPU.

In a Galera cluster a hung member holds up the commits of all others until they evict it, after about 5 s with default timeouts; \
after that it is out until it has rejoined.

Look at the node and its storage first. Deleting the pod is right for a Galera member when the others are Primary and Synced. \
Do not do it to the primary of a replication set without knowing what its replicas have.";

    NODE_SILENT = "MDB121", Error, "A node under this cluster is silent",
    "The kubelet of this node reports nothing any more. The pods shown for it are as of its last word. Silent is not dead: in a network \
partition the servers there still run, and may still be written to by clients on that side.

Kubernetes marks the pods for deletion after a while, but does not replace them until the node answers or is proven gone: this \
protects you from two servers on one volume. Bring the node back, and everything heals by itself.

If the machine is off for certain, taint it `node.kubernetes.io/out-of-service=nodeshutdown:NoExecute` (or delete the Node object): \
then the pods move, with volumes that can. Never force-delete such a pod (`--grace-period=0`) while the machine may still run.";

    NODE_GONE = "MDB122", Error, "A pod is bound to a node that no longer exists",
    "The Node object that this pod runs on is gone: the machine was removed. The pod is deleted by Kubernetes in a short time and \
created again elsewhere; a volume on a local disk of that machine does not follow, and the new pod stays Pending.

With Galera and a primary component left, the way on for a local volume is a new one: delete the claim and the pod of this ordinal \
only, and let it take a full state transfer. Never do this for the last member that holds the data.";

    NODE_NOT_READY = "MDB123", Error, "A node under this cluster is not ready",
    "The kubelet of this node answers and says itself that it is not ready; its message is shown (container runtime down, network \
plugin missing, disk or memory pressure). Running containers usually go on, but probes, exec and restarts on it do not work \
reliably.";

    NODE_CORDONED = "MDB124", Info, "A node under this cluster takes no new pods",
    "The node is cordoned: running pods stay, but one that is deleted or evicted does not come back to it. If its volume is on a local \
disk of that node, the pod then stays Pending until the node is uncordoned.

Somebody is probably about to drain it. Before the next member is taken down, this one has to be Synced (or caught up) again.";

    TERMINATING_LONG = "MDB125", Error, "A pod should be gone by now and is still there",
    "The pod was deleted, its grace period is over, and it still exists. Usual causes: the node does not answer, a finalizer is left, a \
volume cannot be unmounted, or the container runtime hangs. No pod of this name is started until it is gone.

Do not force-delete it: its server may still run and write to the volume. Find out whether the process is gone first: a Ready node \
that reports the container as terminated is proof, a silent node is none.";

    TERMINATING = "MDB126", Warning, "A pod is being deleted",
    "Somebody or something (a rollout, a drain, a scale-in) has deleted this pod, and it is inside its grace period. Its server shuts \
down; the controller creates the pod again if the set still wants it.

Do not take another member down before this one is back and Synced (or caught up): two of three Galera members that stop at the same \
moment, even cleanly, can leave the third without quorum (seen in 2 of 5 rounds).";

    VOLUME_NOT_ATTACHED = "MDB127", Error, "A pod waits for a volume that cannot be attached or mounted",
    "The pod has its node, and the node does not get its volume. `Multi-Attach error`: the volume is still attached to another node, where an older pod of this name ran; usually that node is silent or the pod there has not ended. Kubernetes lets go after about six minutes if the node is gone for good.

Make sure that nothing runs on the volume any more before you force anything: two servers on one volume destroy it. If the node is proven dead (powered off), taint it with `node.kubernetes.io/out-of-service`, and Kubernetes detaches its volumes at once.";

    PROBE_KILLS = "MDB128", Error, "The kubelet ends the server because its probe fails",
    "The kubelet says in an event that it ended the container because its startup or liveness probe failed. A server that needs longer than the probe allows (crash recovery, a state transfer, a big redo log) never gets through: each start is ended and begins again.

Give the startup probe more time (`failureThreshold`), rather than the liveness probe; with mariadb-operator in `spec.startupProbe`. If the server is up and the probe still fails, see what the probe asks: a Galera member that is not in the primary component fails many of them, and ending it makes nothing better.";

    CONTROLLER_BEHIND = "MDB131", Warning, "The StatefulSet controller has not acted on the last change",
    "`status.observedGeneration` is behind `metadata.generation`: the set was changed and its controller has not looked at it yet. \
For a second after a change this is normal. If it stays, the controller manager is down or overloaded, and nothing that is shown \
here about rollouts or wanted pods is going to happen until it works again. A change that has not been acted on takes effect later, \
perhaps when nobody expects it.";

    ROLLOUT_UNFINISHED = "MDB132", Warning, "A rollout has not finished",
    "Some pods still run an older revision of the template than the set wants. The controller replaces them one by one from the highest \
ordinal down, and waits for each to be Ready. It is under way, or stands at a pod that does not get Ready.

Kubernetes waits for *Ready* only, not for Synced or caught up. With a weak readiness probe a rollout can take the next member down \
while the last one is still receiving data. Do not start other changes meanwhile. A rollout that stands at a broken pod goes on only \
after the template is right *and* that pod was deleted.";

    PARTITION_PAUSED = "MDB133", Warning, "A rollout is held by its partition",
    "`rollingUpdate.partition` keeps some pods on the older revision: pods with an ordinal of at least start + partition run the new \
template, the others the old one. This is how a rollout is done in steps; it is also easily forgotten.

While versions are mixed, make no schema changes: a statement that only the newer server understands has been seen to succeed on it \
and to fail silently on the others (10.11 with 11.8). A held-back pod that is recreated gets the old template, as it should.

To go on, lower the partition when all members are healthy.";

    PARTITION_SET = "MDB134", Info, "A partition is set for the next rollout",
    "All pods run the newest revision, and `rollingUpdate.partition` is above 0: the next change of the template reaches only pods with \
an ordinal of at least start + partition. Set it to 0 if that is not wanted.";

    ON_DELETE_MIXED = "MDB135", Warning, "Pods run different revisions, and the set updates only on deletion",
    "The update strategy is `OnDelete`: a pod gets the newest template when somebody deletes it, and not before. Some pods still run an \
older revision, so any accidental deletion, eviction or node failure changes their version or configuration.

Finish it on purpose: delete the remaining pods one at a time, the highest ordinal first and the primary last, each only when all \
others are Synced (or caught up).";

    CLAIMS_DELETED_WHEN_SCALED = "MDB136", Warning, "Scaling in deletes the volumes",
    "`persistentVolumeClaimRetentionPolicy.whenScaled` is `Delete`: whenever the set shrinks, Kubernetes deletes the claims of the pods \
that leave, and with the usual reclaim policy the data. Scaling to 0, the first step of many recovery recipes, then deletes *every* \
data directory: three volumes were gone 6 s after `replicas: 0` on Kubernetes 1.34.

Set it to `Retain` before anybody scales this set: \
`kubectl patch statefulset NAME --type=merge -p '{\"spec\":{\"persistentVolumeClaimRetentionPolicy\":{\"whenScaled\":\"Retain\"}}}'`.";

    EXTRA_POD = "MDB137", Warning, "A pod beyond the wanted number still exists",
    "The set has a pod whose ordinal is outside of what it wants. A scale-in has not finished: the controller deletes pods from the \
highest down and, under `OrderedReady`, stops at one that is not Ready. A pod of this kind is not recreated when it goes.

Until it is gone it counts as a member for Galera's quorum, and may be written to.";

    NOBODY_RUNS = "MDB138", Error, "None of the set's servers runs",
    "Every container that should run a server of this set is down, so the database is down. The other findings give the reason for each \
pod; the logs of the last runs (`kubectl logs -p`) say why the servers ended. What kind of cluster it is cannot be asked of servers \
that do not run.

If it is a Galera cluster (the log says `WSREP`, and `failed to reach primary view` about 34 s after each start), no member comes back \
by itself, and restarting them does not help: the member with the newest data must be found and bootstrapped. MDB202 says how, step by \
step. Do not bootstrap the first pod that comes to mind.

If it is replication, the primary is what matters: bring its pod back first. If it is one fault in all pods (a bad image, a wrong \
option, a missing Secret, full volumes), correct that first; the data is as it was.";

    SERVICE_TO_BAD_POD = "MDB139", Warning, "A Service leads clients to a server that does not serve them as it should",
    "A Service that clients use has a ready endpoint whose server is non-Primary, has left the cluster, is not Synced, or no longer \
replicates: clients there get errors, wait, or read old rows without a word. Or it leads to both sides of a split brain, and clients \
write to both. Kubernetes goes by the readiness probe of the pod, and by `publishNotReadyAddresses`, not by the state of the server.

The better cure is a readiness probe that asks for the state (with Galera `healthcheck.sh --galera_online`; for a replica its threads \
and its lag). Until then take the pod out of the Service: change a label that the Service selects by, on this one pod. A donor is not \
told of: it serves. In a split brain stop the clients first, then see MDB203.";
}
