//! `MDB6xx`: backups, as far as a manager knows of them. Nobody reads an artefact back here.

rules! {
    NONE = "MDB601", Info, "The operator makes no backups of this cluster",
    "No `Backup` and no `PhysicalBackup` object names this cluster. Backups may be made by other means, of which nothing can be seen \
here.

Without a backup a dropped table or a lost volume of all members is final: replicas and cluster members copy mistakes within \
milliseconds.";

    FAILED = "MDB602", Warning, "The newest run of a backup has failed",
    "The newest finished job of this backup ended with an error. Its pods' logs say why, as long as they exist; usual causes are a wrong \
credential or address of the object store, a full volume, a timeout, or no replica that may be copied from.

The last good artefact is as old as shown. Repair the cause, then run the backup once.";

    SHOWN_COMPLETE = "MDB603", Warning, "A failed backup is shown as complete",
    "The condition Complete of this backup is True, and its reason or its newest job says that it failed: mariadb-operator up to 26.6 sets \
Complete also for jobs that have failed. Alerts and pipelines that wait for Complete take it for a success, and so does the operator \
itself: a restore from it, or a new replica, would wait for nothing.";

    LATE = "MDB604", Warning, "A scheduled backup is late",
    "The last success of this scheduled backup is older than two of its intervals, or it has never succeeded. The operator skips a \
scheduled backup without a word while the cluster is suspended, updating, switching over, resizing or recovering, and up to 26.4 a failed \
job could stop the schedule for good (43 days have been reported).

See its newest job, and whether the operator is free to start one.";

    WAITS = "MDB605", Warning, "A backup waits because the operator does not call the cluster ready",
    "The backup was asked for and has not begun: its condition says that the MariaDB is not ready. It begins by itself some seconds after \
Ready is True. Ready is also False for as long as a rollout is paused half way.";
}
