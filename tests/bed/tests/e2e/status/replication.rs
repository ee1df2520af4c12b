//! GTID replication.

use anyhow::{Result, ensure};
use bed::testing::run::wait_until;

use crate::stage::{Expected, SOON, Stage};

/// A replica was opened; then it was made a primary of its own.
pub fn two_writable_servers(stage: &Stage) -> Result<()> {
    stage.cluster.sql(2, "SET GLOBAL read_only=0")?;
    stage.status(&Expected { exit: 0, codes: &["MDB342"], without: &["MDB341", "MDB303"], says: &["db-2"] })?;
    stage.cluster.sql(2, "STOP SLAVE; RESET SLAVE ALL")?;
    stage.status(&Expected { exit: 3, codes: &["MDB303"], without: &["MDB304", "MDB301"], says: &["db-0", "db-2"] })?;
    let password = &stage.cluster.secrets.replication;
    stage.cluster.sql(
        2,
        &format!(
            "SET GLOBAL read_only=1; CHANGE MASTER TO MASTER_HOST='db-0.db', MASTER_USER='replication', MASTER_PASSWORD='{password}', \
             MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=2, MASTER_SSL_VERIFY_SERVER_CERT=0; START SLAVE"
        ),
    )?;
    Ok(())
}

/// A row that only the replica has collides with the primary's.
pub fn replica_stopped_by_an_error(stage: &Stage) -> Result<()> {
    stage.cluster.sql(0, "CREATE OR REPLACE TABLE trial.collides (id INT PRIMARY KEY)")?;
    wait_until("the table is there", SOON, || stage.cluster.sql(1, "SELECT COUNT(*) FROM trial.collides").map(drop))?;
    stage.cluster.sql(1, "SET sql_log_bin=0; INSERT INTO trial.collides VALUES (1)")?;
    stage.cluster.sql(0, "INSERT INTO trial.collides VALUES (1)")?;
    wait_until("the replica has stopped", SOON, || {
        let status = stage.cluster.sql(1, "SHOW ALL SLAVES STATUS")?;
        ensure!(status.contains("1062"), "it goes on");
        Ok(())
    })?;
    stage.status(&Expected { exit: 3, codes: &["MDB317"], without: &["MDB341", "MDB311"], says: &["db-1"] })?;
    stage.cluster.sql(1, "SET sql_log_bin=0; DELETE FROM trial.collides; SET sql_log_bin=1; START SLAVE")?;
    Ok(())
}

/// A write on the replica itself, with a GTID that the primary never had; replication goes on until the next event.
pub fn errant_replica(stage: &Stage) -> Result<()> {
    stage.cluster.sql(0, "CREATE OR REPLACE TABLE trial.errant (id INT PRIMARY KEY)")?;
    wait_until("the table is there", SOON, || stage.cluster.sql(2, "SELECT COUNT(*) FROM trial.errant").map(drop))?;
    stage.cluster.sql(2, "INSERT INTO trial.errant VALUES (1)")?;
    let state = stage.cluster.sql(2, "SELECT @@gtid_binlog_state")?;
    ensure!(state.contains("0-102-"), "no transaction of its own: {state}");
    stage.status(&Expected { exit: 3, codes: &["MDB341"], says: &["db-2", "0-102-"], ..Expected::default() })?;
    let position = stage.cluster.sql(0, "SELECT @@gtid_binlog_pos")?;
    stage.cluster.sql(
        2,
        &format!(
            "STOP SLAVE; SET sql_log_bin=0; DELETE FROM trial.errant; SET sql_log_bin=1; \
             RESET MASTER; SET GLOBAL gtid_slave_pos='{position}'; START SLAVE"
        ),
    )?;
    // A transaction for the emptied binary log: without one the replica could not take over.
    stage.cluster.sql(0, "DROP TABLE trial.errant")?;
    Ok(())
}

/// The primary was restarted, or closed for a switchover that never came.
pub fn read_only_primary(stage: &Stage) -> Result<()> {
    stage.cluster.sql(0, "SET GLOBAL read_only=1")?;
    stage.status(&Expected { exit: 3, codes: &["MDB302"], without: &["MDB303"], says: &["db-0"] })?;
    stage.cluster.open(0)
}
