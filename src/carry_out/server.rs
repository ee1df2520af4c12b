//! What is changed inside of a running server.

use std::time::Duration;

use crate::api::script;
use crate::api::sql::client::{Login, Session, Told};
use crate::api::writes::Denied;
use crate::api::{Api, Password, PodRef};
use crate::model::fact::Why;

use super::in_pod::{run, settings};

/// Every table is checked: the time grows with their number.
const CONVERSION: Duration = Duration::from_secs(1800);
/// `SET GLOBAL read_only` waits for whoever holds tables by `LOCK TABLES`, and everybody else who writes waits for it meanwhile: it
/// gives up (1205) before its answer does, so that it does not come about later.
const BRIEFLY: &str = "SET SESSION lock_wait_timeout = 10";
/// So long one may still come about whose answer was lost.
pub(super) const CLOSES: Duration = Duration::from_secs(10);
/// A statement and its way.
const OPENING: Duration = Duration::from_secs(20);

/// Without binary log and without replication to other members, as the program itself does it: every server has its own
/// system tables. The record of it must be readable for the server's own account.
const CONVERT: &str = r#"find_server
find_socket
credentials
tool=''
for t in mariadb-upgrade mysql_upgrade /opt/bitnami/mariadb/bin/mariadb-upgrade /opt/bitnami/mariadb/bin/mysql_upgrade; do
  command -v "$t" >/dev/null 2>&1 && { tool=$t; break; }
done
[ -n "$tool" ] || { echo "the container has no mariadb-upgrade" >&2; exit 127; }
"$tool" --user="$user" ${socket:+--socket="$socket"} $tcp >&2 || exit
for f in mariadb_upgrade_info mysql_upgrade_info; do
  [ -f "$home/$f" ] && chown --reference="$home" "$home/$f" 2>/dev/null
done
echo "$done"
--go
"#;

/// Runs `mariadb-upgrade` in the database container of `pod`. Running it again does no harm.
///
/// # Errors
/// [`Denied`].
pub(super) async fn convert(api: &Api, pod: &PodRef, datadir: &str) -> Result<(), Denied> {
    let given = api.password().map(Password::reveal).unwrap_or_default();
    let mut script = settings(&[("given", given), ("given_user", ""), ("home", datadir)]);
    script::append(&mut script, script::CLIENT);
    script.push_str(CONVERT);
    let converted = run(api, pod, script.as_bytes(), CONVERSION).await;
    converted.map(drop).map_err(|broken| broken.denied(&format!("mariadb-upgrade in {}", pod.name)))
}

/// Lets the server of `pod` take writes.
///
/// # Errors
/// [`Denied`].
pub(super) async fn open(api: &Api, pod: &PodRef) -> Result<(), Denied> {
    told(api, pod, &["SET GLOBAL read_only = OFF"]).await
}

/// Ends the replication of the server of `pod`, which has all it will get, and lets it take writes.
///
/// # Errors
/// [`Denied`].
pub(super) async fn promote(api: &Api, pod: &PodRef) -> Result<(), Denied> {
    told(api, pod, &["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF"]).await
}

/// Keeps the server of `pod` from taking writes.
///
/// # Errors
/// [`Denied`].
pub(super) async fn close(api: &Api, pod: &PodRef) -> Result<(), Denied> {
    told(api, pod, &[BRIEFLY, "SET GLOBAL read_only = ON"]).await
}

/// Statements that may be told again without harm, up to the first that fails.
pub(super) async fn told(api: &Api, pod: &PodRef, statements: &[&str]) -> Result<(), Denied> {
    let login = Login { password: api.password().map(|password| password.reveal().to_owned()), ..Login::default() };
    let opening = async {
        let (mut session, standing) = Session::open(api, pod, &login, false, OPENING).await?;
        let (mut quoting, mut error) = (standing.quoting, None);
        for statement in statements {
            session.run(statement, quoting);
            let done = loop {
                if let Told::Done(done) = session.next().await? {
                    break done;
                }
            };
            (quoting, error) = (done.now.quoting, done.error);
            if error.is_some() {
                break;
            }
        }
        session.end();
        Ok::<_, Why>(error)
    };
    match tokio::time::timeout(OPENING, opening).await {
        Ok(Ok(error)) => error.map_or(Ok(()), |error| Err(Denied::Refused(format!("{} {}", error.code, error.message)))),
        Ok(Err(why)) => Err(Denied::Lost(why.to_string())),
        Err(_) => Err(Denied::Lost(format!("no answer within {} s", OPENING.as_secs()))),
    }
}
