//! `MDB5xx`: what a manager was told and believes, against what the servers say. Seen on mariadb-operator 25.10.4 unless a text
//! says otherwise.

rules! {
    SUSPENDED = "MDB501", Warning, "The operator is suspended: no failover, no recovery",
    "`spec.suspend` is true: mariadb-operator does nothing for this cluster. It does not fail over, does not recover a crashed Galera \
cluster, does not apply changes of its object, and starts no physical backup. What its status says of roles and replicas is as old as \
the suspension.

Kubernetes still recreates pods, so a primary that is deleted comes back as it was configured, and its replicas follow it when they \
connect again.

Changes made to the object meanwhile all happen at once when it is resumed: a switchover, a new replica count, a rollout. Look at \
`primary.podIndex`, `replicas` and `updateStrategy` first, then set `spec.suspend` to false.";

    STOPPED = "MDB502", Error, "The operator has stopped: it cannot reconcile its own object",
    "The condition Ready says `Error reconciling Spec`. This is the first of all the operator's steps, and an error in it ends every pass: \
Service, roles, failover, recovery, updates and backups of this cluster are dead until it is solved. The servers go on.

The usual cause is a value that the operator's own webhook refuses but that came in past it: `kubectl scale` is not checked, so \
`--replicas=1` on a replicated cluster is taken and then denied to the operator itself. Put the value right in the object (`spec.replicas` \
first); the message names it.";

    STEP_FAILS = "MDB503", Warning, "The operator fails at a step and repeats it",
    "The condition Ready is False with the reason Failed for more than a minute. The operator's work on a cluster is a sequence of steps; \
the one that is named fails, and everything after it in the sequence waits: the StatefulSet, Services, replication, labels, Galera \
recovery and SQL objects, in this order.

Read the message, and the operator's log for the same moment. For a tenth of a second after the first start this is normal.";

    BLOCKED = "MDB504", Error, "An operation of the operator has failed and blocks what comes after it",
    "A scale-out, the first initialisation or the rebuild of a replica ended in an error. The operator tries the same again every 30 s and \
does nothing of what comes later in its sequence: no updates, no Service changes, no replication repair, no failover of roles.

`ScaleOutError` with `storage PVCs already exist`: claims of an earlier scale-in are in the way. Either set `replicas` back to the number \
that runs, or delete the claims of the ordinals that do not exist, after making sure that nobody needs their data. `InitError`: the \
claims of a new cluster exist already. `ReplicaRecoverError`: see the backup that the rebuild is made from.";

    FORCE_LEFT = "MDB505", Error, "A forced bootstrap is left in the object: the next crash can lose data",
    "`galera.recovery.forceClusterBootstrapInPod` is set while the cluster runs. Now it does nothing. At the next total crash the operator \
bootstraps from that pod without looking at any position, whatever the others have committed since: acknowledged rows that this pod \
lacks are gone, under a new state UUID, with Ready True and without an event. This was reproduced. The operator never clears the field.

Remove it now.";

    FORCE_WAITS = "MDB506", Warning, "The operator bootstraps from a pod that somebody chose",
    "The operator is recovering the cluster, and `galera.recovery.forceClusterBootstrapInPod` names the pod to bootstrap from. It reads no \
positions and compares nothing: what only other pods have is lost.

If you did not set it yourself just now, compare the positions of all pods before the bootstrap happens. Remove the field as soon as the \
cluster runs again.";

    RECOVERING = "MDB507", Warning, "The operator is recovering the Galera cluster",
    "The condition GaleraReady is False: the operator believes that the cluster is lost, and works on it. It reads the state files of all \
pods; if they do not decide, it scales the set to 0 and runs a job per pod that finds the position; it bootstraps one pod, restarts the \
others one after the other, and waits until all are Ready. Three small members took 107 s after a clean stop and 190 s after a crash.

Do not bootstrap by hand at the same time. It needs every ordinal: one pod that cannot be placed stops the recovery, and after 10 minutes \
it begins from the start. What `status.galeraRecovery` shows is kept after success and says nothing by itself.";

    READY_LIES = "MDB508", Warning, "The operator shows Ready, and the servers say otherwise",
    "The condition Ready of the `MariaDB` object is True, and this look at the servers found an error. The operator checks readiness of \
pods and the size of a Galera cluster, and does not refresh Ready in several of its steps: it does not see a split brain, a cluster of \
one member of three, or a replica that follows the wrong server.

Believe the servers: the other findings say what is wrong. Alerts that rest on this condition stay silent.";

    PRIMARY_DIFFERS = "MDB509", Error, "The operator takes another pod for the primary than the servers do",
    "`status.currentPrimary` names one pod, and by SQL another one takes the writes of the replicas. The operator's Service for writers, its \
role labels, its failover and its next switchover all rest on its own belief.

If somebody promoted a server by SQL: the operator will not follow. Suspend it before anything else changes, compare the GTIDs of both, \
and make the object agree (`replication.primary.podIndex`). During a switchover the two differ for some seconds.";

    PRIMARY_NOT_SERVING = "MDB510", Error, "The pod that the operator sends writers to does not serve",
    "`status.currentPrimary` of this Galera cluster is a pod whose server does not serve, while others do. Clients of the `-primary` \
Service reach nobody, or a server that refuses their statements.

The operator moves it by itself (`primary.autoFailover`) when the pod loses readiness, which takes some 35 s if the server hangs, and only \
while GaleraReady is True. If it does not: set `galera.primary.podIndex` to a pod that serves.";

    SWITCHING = "MDB511", Warning, "A switchover of the operator is under way",
    "The condition PrimarySwitched is False: the operator has made the primary read-only, and waits until all replicas have everything. With \
default settings this takes 10 s, which is the acknowledgement timeout of semi-synchronous replication. Look again in half a minute.";

    SWITCHOVER_HANGS = "MDB512", Error, "A switchover of the operator hangs, and the primary may be read-only",
    "The condition PrimarySwitched has been False for more than a minute. The operator's switchover has no deadline: while one replica \
cannot reach the primary's position, the primary stays read-only (3 hours have been reported), and every pass tries again.

The message of Ready and the other findings name the replica: usually one that follows the wrong source or whose threads are stopped. To \
give up, set `primary.podIndex` back to the current primary. If a rollout is what asked for the switchover, it asks again at once: \
suspend the operator, or set the update strategy to `OnDelete`, first.";

    PRIMARY_WANTED = "MDB513", Warning, "The operator is to make another pod the primary",
    "`primary.podIndex` of the object differs from `status.currentPrimaryPodIndex`, and no switchover is under way. It will begin as soon as \
the operator's other steps allow it; if the operator is suspended, at the moment it is resumed.

If nobody wants it any more, set `podIndex` back to the current primary.";

    ROLE_LABEL = "MDB514", Warning, "A role label says something else than the server",
    "The role in a label of the pod is not the role that its server has by SQL. Labels are written by whoever manages the cluster: by the \
operator only on pods that are Ready and only when its pass gets that far, by scripts when somebody runs them.

A Service or a tool that selects by this label leads to the wrong server. See what stops the manager from writing it; then put it right.";

    PRIMARY_SERVICE = "MDB515", Warning, "The operator's Service for writers leads to another pod than it says",
    "The `-primary` Service selects a pod that is not `status.currentPrimary`. The Service follows within a second or two after a change, \
unless a step of the operator before it fails or waits.";

    UPDATE_PAUSED = "MDB516", Warning, "A rollout that is not finished holds up backups and repairs",
    "Some pods run the new revision and some the old one, and the operator's condition Updated is False. For as long as this lasts it \
starts no backup (logical nor physical) and archives no binary logs, seeds no new replicas safely, rebuilds none, resizes nothing, and \
moves no Galera primary. Failover of replication still works. Ready shows False and does not say why.

A partition or the strategy `OnDelete` holds the rollout for ever. Finish it, or put the template back.";

    ROLLOUT_STUCK = "MDB517", Warning, "The operator's rollout does not go on",
    "The condition Updated has been False for more than ten minutes with the strategy `ReplicasFirstPrimaryLast`. Before it replaces a pod \
the operator wants all pods Ready. A pod that cannot become Ready on the new template therefore stops the rollout, and also the rollout of \
the correction: delete the broken pod by hand once the template is right, so that it starts on the newest one.";

    REPLICAS_DIFFER = "MDB518", Warning, "The set has not the number of pods that the operator was told",
    "`spec.replicas` of the `MariaDB` object and of its StatefulSet differ. The operator applies it only if it is not suspended, gets past \
the steps before, and does not have the update strategy `Never` (then a scale-in is never done, and Ready stays True). A set at 0 may be a \
Galera recovery that reads positions.

Never scale the StatefulSet itself: the operator puts it back.";

    LEFT_CLAIM = "MDB519", Warning, "A claim of an earlier scale-out is left and can block the next one",
    "The operator's temporary backup for new or rebuilt replicas leaves its claim behind (`-pb-scaleout`, `-pb-recovery`). It is used again \
next time. On node-local storage it is bound to one node, and the next backup may have to run on another: then its pod is never \
scheduled, and the scale-out waits for ever without an error.

Delete it when no scale-out and no rebuild is under way.";

    OLD_CLAIMS = "MDB520", Info, "Claims of removed pods are left",
    "There are claims of ordinals beyond the wanted number. With replication under mariadb-operator they make the next scale-out fail \
(`storage PVCs already exist`). With Galera, and on sets without an operator, a new pod starts on the old data, which is right only if it is \
of the same history.";

    DELETED = "MDB521", Error, "The operator's object is being deleted",
    "The `MariaDB` object has a deletion timestamp. Its StatefulSet, Services and secrets that it owns go with it; claims and the root \
password's secret stay.";

    NOT_OWNED = "MDB522", Warning, "A `MariaDB` object of this name does not own the StatefulSet",
    "There is a `MariaDB` object with the set's name, and the set's owner reference does not name it: the set was made by somebody else, or \
by an older object that is gone. The operator changes the set all the same when their templates differ.

Find out who is meant to manage this cluster, and remove or suspend the other.";

    STARTS_WRITABLE = "MDB523", Info, "The operator makes replicas read-only after each of their starts",
    "The operator's configuration has no `read_only` and no `log_slave_updates`: a restarted server takes writes until the operator has \
configured it again, and a replica that is promoted begins a binary log of its own. The operator is needed for every restart; while it \
is suspended or stuck, a restarted replica stays writable.";

    SCALE_OUT_HANGS = "MDB524", Error, "A scale-out of the operator does not go on",
    "The condition ScaledOut has been False for more than five minutes. The operator copies the data for the new replicas with a temporary backup; it waits for that for up to an hour, and does nothing of what comes later in its sequence meanwhile: no updates, no Service changes, no replication repair.

A claim `-pb-scaleout` of an earlier scale-out is the usual cause on node-local storage: it is bound to another node than the one the backup has to run on, so the backup's pod is never scheduled. Set `replicas` back to what runs, delete that claim, and scale out again.";

    NO_SET = "MDB525", Error, "A `MariaDB` object has no StatefulSet: nothing runs of it",
    "The object exists, and no StatefulSet has its name. The operator makes the set only after its first steps for the object have \
succeeded (secrets, configuration, service account, Services), so an error in one of them leaves a cluster that exists on paper only. \
Until then no server runs, no pod can be seen, and whatever counts StatefulSets or pods does not know that one is missing.

The condition Ready names the step that fails. No condition at all: no operator has looked at the object, because none runs, it does not \
watch this namespace, or it is of another API group. A suspended object is not worked on. Some seconds after its creation all this is \
normal. If somebody deleted the set, the operator makes it again, with the old claims.";

    RECOVERY_CHOICE = "MDB531", Info, "This operator's Galera recovery may choose the wrong pod",
    "Up to 26.6 the operator's recovery takes the first pod with `safe_to_bootstrap: 1` without comparing positions, and never compares \
state UUIDs: an old pod that was stopped cleanly wins over newer data. 26.10 takes the highest position, and still does not compare UUIDs. \
The version is that of the operator's Deployment or, if that is not seen, of the operator image in the pods; then the operator itself \
may be newer.

After a total loss compare the positions of all pods yourself before the operator has bootstrapped, and suspend it if it would choose wrong.";

    SWITCHOVER_BUGS = "MDB532", Info, "This operator's switchover has known bugs",
    "Before 26.10 the operator can leave a new primary read-only after error 1948, wipes the binary log of a replica whose role it does not \
recognise, and leaves a replica that was not Ready during a failover on the old primary for good. The version is that of \
the operator's Deployment or, if that is not seen, of the operator image in the pods; then the operator itself may be newer.

After each switchover and failover look at `Master_Host` of every replica and at `read_only` of every server: this program does.";

    CERTIFICATE_ENDS = "MDB541", Warning, "The servers' certificate ends soon",
    "The certificate of the servers ends within two weeks, or in the last third of a shorter life. Where mariadb-operator or cert-manager \
makes it, it is renewed long before that; something keeps them from doing so (suspended, stuck in an earlier step, an issuer that does \
not answer). The operator's renewal restarts the pods, one after the other.

A certificate of your own: put the new one into its Secret, and let each server read it: `FLUSH SSL`, or a restart. What a file says is \
what the next start uses; a server that runs holds what was there when it started or was last told to read it.";

    CERTIFICATE_ENDED = "MDB542", Error, "The servers' certificate has ended",
    "The certificate of the servers is no longer valid. Clients that check it cannot connect; replication, state transfers and an \
operator's own connections that use TLS fail at their next attempt. Running connections go on.

See why it was not renewed: an operator that is suspended or stuck in an earlier step, an issuer that does not answer, or nobody did. A \
server reads a new file at `FLUSH SSL` or at its start.";
}
