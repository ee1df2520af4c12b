//! Hand-written sets of other people's habits: each is proven first, and then the server is found and asked all the same.

use anyhow::{Context, Result, bail, ensure};
use bed::testing::shape::{Habit, Source};

use super::healthy;
use crate::stage::{Expected, Stage, compare};

/// What the habit changes is so, and the verdict is the usual one.
pub fn habit(stage: &Stage) -> Result<()> {
    let Source::Habit(habit) = stage.cluster.shape.source else { bail!("this shape has no habit") };
    prove(stage, habit)?;
    match habit {
        Habit::NoPassword => no_password(stage),
        Habit::EmptyDir => vanishes(stage),
        _ => healthy(stage),
    }
}

fn prove(stage: &Stage, habit: Habit) -> Result<()> {
    let cluster = &stage.cluster;
    let layout = cluster.shape.layout();
    let sql = |sql: &str| cluster.sql(layout.first, sql);
    let shell = |script: &str| Ok::<_, anyhow::Error>(cluster.exec(layout.first, script, "")?.stdout.trim().to_owned());
    let (is, wanted) = match habit {
        Habit::Container | Habit::Sidecar => {
            let names = cluster.kubectl(&["get", "pod", "db-0", "-o", "jsonpath={.spec.containers[*].name}"])?;
            (names, if habit == Habit::Sidecar { "beside mariadb" } else { "database" })
        }
        Habit::Port => (sql("SELECT @@port")?, "3307"),
        Habit::DatadirArgument => (format!("{}{}", sql("SELECT @@datadir")?, shell("ls /var/lib/mysql")?), "/srv/mariadb/data/"),
        Habit::DatadirConfig => (sql("SELECT @@datadir")?, "/srv/mariadb/data/"),
        Habit::Ordinals => {
            let pods: Vec<_> = cluster.pods()?.into_iter().map(|pod| pod.name).collect();
            (pods.join(" "), "db-3 db-4 db-5")
        }
        Habit::Wrapper => (shell("cat /proc/1/comm")?, "bash"),
        Habit::EmptyDir => (cluster.kubectl(&["get", "pvc", "-o", "name"])?, ""),
        Habit::PasswordFile => (shell("echo $MARIADB_ROOT_PASSWORD$MARIADB_ROOT_PASSWORD_FILE")?, "/run/passwords/root"),
        Habit::NoPassword => (shell("env | grep -c ROOT_PASSWORD")?, "0"),
        Habit::TlsRequired => {
            let refused = cluster.connect(&cluster.pod(layout.first)?).err().context("TCP without TLS is let in")?;
            (format!("{refused:#}"), "3159")
        }
    };
    let holds = if habit == Habit::TlsRequired { is.contains(wanted) } else { is == wanted };
    ensure!(holds, "{habit:?}: {is:?} instead of {wanted:?}");
    Ok(())
}

/// Kubernetes says that all is well, and nobody lets the plugin ask the server, unless its user names a Secret.
fn no_password(stage: &Stage) -> Result<()> {
    let refused = stage.cluster.exec(0, "mariadb -uroot -e 'SELECT 1'", "")?;
    ensure!(refused.stderr.contains("1045"), "root needs no password: {refused:?}");
    stage.status(&Expected { exit: 4, codes: &["MDB904"], without: &["MDB903"], says: &["db-0"] })?;
    let told = stage.plugin.status(&stage.cluster, &["--password-from=secret/db-passwords:root"])?;
    compare(&told, &Expected { exit: 0, without: &["MDB904"], says: &["11.8"], ..Expected::default() })
}

/// The server is well, and its data go with the pod.
fn vanishes(stage: &Stage) -> Result<()> {
    stage.status(&Expected { exit: 0, codes: &["MDB421"], without: &["MDB411", "MDB412"], says: &["db-0"] })?;
    Ok(())
}
