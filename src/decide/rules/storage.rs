//! `MDB4xx`: volumes and claims.

rules! {
    VOLUME_FILLING = "MDB401", Warning, "A data volume is 85 % full or more",
    "The file system of the data directory is filling up. When it is full, writes fail, and a Galera member leaves the cluster.

Look at what takes the space: binary logs without expiry (`binlog_expire_logs_seconds`), extra `gcache.page.*` files after large \
transactions (128 MB and more each; they can stay after a crash), old `system_mysql_backup_*.sql.zst` of upgrades, a large \
`ibtmp1`. A state transfer needs room for a whole copy on the joiner.

If the storage class allows expansion, raise the request of the claim. The template of a StatefulSet cannot be changed for that; each \
claim is.";

    VOLUME_FULL = "MDB402", Error, "A data volume is 95 % full or more",
    "The file system of the data directory is nearly full, and the server is about to fail: a replica stops with an error, a Galera \
member leaves the cluster (the others go on), a primary blocks or refuses writes.

Make room before it is full: expand the claim if the storage class allows it, or purge binary logs that every replica has read \
(`PURGE BINARY LOGS`, never `rm`). Do not delete `ib_logfile0`, `ibdata1`, `undo*` or `aria_log*`: they are the database. After \
space was freed a Galera member restarts and rejoins.

A full volume can leave 0-byte state files, and a member that then restarts needs help.";

    CLAIM_DELETED = "MDB411", Error, "The volume of a running pod is marked for deletion",
    "Somebody has deleted the claim under a running pod. Kubernetes keeps it as long as the pod exists (finalizer `pvc-protection`), and \
then deletes it, with the usual reclaim policy together with the data. The deletion cannot be taken back.

So this server must not be stopped, restarted, drained or evicted before another good copy exists. Make sure that the others are \
Synced or caught up, take a backup, and set the reclaim policy of the PersistentVolume to `Retain` now: \
`kubectl patch pv NAME -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'`. Then the disk survives the claim.";

    CLAIM_MISSING = "MDB412", Error, "A claim that a pod needs does not exist",
    "The pod names a claim that is not there, so it cannot start. The controller creates missing claims only when it creates the pod. \
Claims of higher ordinals that are kept from an earlier scale-in are not meant here.

If the claim was deleted, its data may be on a PersistentVolume in phase `Released`. Look there before a new, empty volume takes its \
place. With Galera and a healthy primary component an empty volume is filled by a state transfer; if *all* claims are gone, an empty \
database would be created: restore instead.";

    CLAIM_PENDING = "MDB413", Error, "A claim gets no volume, and its pod waits for it",
    "The claim is `Pending`: no PersistentVolume was provisioned or fits it. Usual causes: the storage class does not exist or has no \
provisioner, the quota is used up, the requested size or access mode fits no volume, the zone of the node has none. The events of the \
claim say why.

A class without provisioner (`kubernetes.io/no-provisioner`) needs a volume that an administrator makes.";

    CLAIM_LOST = "MDB414", Error, "A claim has lost its volume",
    "The phase of the claim is `Lost`: the PersistentVolume it was bound to no longer exists as an object. The disk behind it may still \
exist at the storage provider.

Look for the disk there first. A server that still runs on it keeps working until it is stopped, so do not stop it before another \
good copy exists.";

    ON_EMPTY_DIR = "MDB421", Warning, "The data directory dies with its pod",
    "The data directory is on an `emptyDir`, which Kubernetes deletes together with the pod: at every deletion, eviction, drain, rollout \
and node failure (a container that restarts in place keeps it). The last such pod takes all the data with it.

Three Galera members on `emptyDir` survive as long as never two go at the same time. Use claim templates for anything that matters.";

    FLUSH_NOT_ONE = "MDB431", Info, "Acknowledged rows can be lost in a power cut",
    "`innodb_flush_log_at_trx_commit` is not 1: a commit is acknowledged before it is on disk, and the last second of commits can be lost \
when the node loses power (with 0 also when only the server is killed). Many Galera guides recommend it, because the other members \
have the rows; but when all members go down together, nobody has. After such a crash members with 0 differed by about 1240 \
transactions (10.11).

The safe value is 1, which costs commit latency.";
}
