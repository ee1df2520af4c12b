//! A new replica's volume, and a copy of another one's data on it.

use std::collections::BTreeMap;

use crate::api::script;
use crate::api::writes::{Denied, Resource, create, read};
use crate::api::{Api, Password, PodRef};
use crate::decide::helper::{CONTAINER, Kind, seeded, way_to};
use crate::decide::operation::{MADE_BY, claim};
use crate::model::fact::Why;
use crate::model::kubernetes::{Pod, StatefulSet};
use crate::model::names::Ordinal;
use crate::model::snapshot::Snapshot;

use super::act::Hands;
use super::follow::{FOLLOW, FOLLOWS, Follows, follows};
use super::in_pod::{self, Broken, run};

const DONOR: &str = include_str!("donor.sh");

impl Hands<'_> {
    /// Makes the claims of `ordinal`, each as large as that of `like`. Those that an earlier attempt made are taken as they are.
    pub(super) async fn make_claims(
        &self,
        set: &StatefulSet,
        ordinal: Ordinal,
        like: Ordinal,
        mark: &str,
        dry_run: bool,
    ) -> Result<BTreeMap<String, String>, Denied> {
        let (namespace, pod) = (&set.namespace, ordinal.pod(&set.name));
        let mut made = BTreeMap::new();
        for template in &set.claim_templates {
            let model = read(self.api, Resource::Claims, namespace, &format!("{template}-{}", like.pod(&set.name))).await?;
            let asked = claim(self.set, template, &pod, &model, mark).map_err(Denied::Refused)?;
            let name = format!("{template}-{pod}");
            let stored = match create(self.api, Resource::Claims, namespace, &asked, dry_run).await {
                // One that lay there when this began is deleted first.
                Err(Denied::Exists) if dry_run => continue,
                Err(Denied::Exists) => {
                    let found = read(self.api, Resource::Claims, namespace, &name).await?;
                    if found["metadata"]["annotations"][MADE_BY] != mark {
                        let words = format!("there is a volume claim {name} that was not there when this began");
                        return Err(Denied::Refused(words));
                    }
                    found
                }
                stored => stored?,
            };
            if dry_run {
                continue;
            }
            let uid = stored["metadata"]["uid"].as_str();
            let uid =
                uid.ok_or_else(|| Denied::Lost(format!("the answer of the API server names no uid of the claim {name}")))?;
            made.insert(name, uid.to_owned());
        }
        Ok(made)
    }

    /// Copies the data of `donor` to the volume of `ordinal`, where nothing lies yet.
    pub(super) async fn seed(
        &self,
        seen: &Snapshot,
        ordinal: Ordinal,
        donor: Ordinal,
        datadir: &str,
        dry_run: bool,
    ) -> Result<(), Denied> {
        let set = &seen.objects.stateful_set;
        let source = seen.members.get(&donor).and_then(|member| member.pod.as_ref()).and_then(|pod| pod.ip.as_deref());
        let source = source.ok_or_else(|| Denied::Lost(format!("{} has no address now", donor.pod(&set.name))))?;
        let helper = self.template(set).seeder(ordinal, datadir, source).map_err(Denied::Refused)?;
        let Some(pods) = self.helpers(set, std::slice::from_ref(&helper), dry_run).await? else { return Ok(()) };
        let giver = Giver { api: self.api, pod: self.pod(set, donor), datadir };
        let follows = giver.follows().await?;
        let log = pods.beside(&helper, |taker| giver.give(taker, &set.namespace, &follows)).await;
        let name = ordinal.pod(&set.name);
        let failed = |why: String| Denied::Refused(format!("the copy for {name} failed: {why}"));
        seeded(&log.map_err(|why| failed(why.to_string()))?).map_err(failed)
    }
}

/// The server that is copied.
struct Giver<'a> {
    api: &'a Api,
    pod: PodRef,
    datadir: &'a str,
}

impl Giver<'_> {
    fn script(&self, settings: &[(&str, &str)], call: &str) -> String {
        let given = self.api.password().map(Password::reveal).unwrap_or_default();
        let own = [("given", given), ("given_user", ""), ("home", self.datadir)];
        let mut script = in_pod::settings(&[&own, settings].concat());
        script::append(&mut script, script::CLIENT);
        script::append(&mut script, FOLLOW);
        script::append(&mut script, DONOR);
        script.push_str(call);
        script.push_str("\n--go\n");
        script
    }

    async fn follows(&self) -> Result<Follows, Denied> {
        follows(self.api, &self.pod, &self.script(&[], "is_in_one_place\nfollows")).await
    }

    /// Hands over first whom to follow, then the data. Whether all of it arrived the one that takes it says.
    async fn give(&self, taker: Pod, namespace: &str, follows: &Follows) -> Result<(), Why> {
        let to = PodRef { namespace: namespace.to_owned(), name: taker.name.clone(), container: CONTAINER.to_owned() };
        let ip = taker.ip.ok_or_else(|| Why::Failed(format!("{} has no address", taker.name)))?;
        hand_over(self.api, &to, self.datadir, follows).await?;
        let script = self.script(&[("to", &way_to(&ip))], "give");
        match run(self.api, &self.pod, script.as_bytes(), Kind::Seed.lifetime()).await {
            // A connection that broke says nothing about the copy: it may be going on.
            Ok(_) | Err(Broken::Lost(_)) => Ok(()),
            Err(broken) => Err(broken.why(&self.pod.name)),
        }
    }
}

/// Writes the file beside the copy that is about to come. Its size ends it: older exec protocols cannot say that stdin ends.
async fn hand_over(api: &Api, to: &PodRef, datadir: &str, follows: &Follows) -> Result<(), Why> {
    let seed = format!("{datadir}/.kubectl-mariadb-seed");
    let mut script = in_pod::settings(&[("seed", &seed), ("size", &follows.file().len().to_string())]).into_bytes();
    script.extend_from_slice(
        b"umask 077\n\
          while [ ! -d \"$seed\" ]; do sleep 0.2; done\n\
          head -c \"$size\" >\"$seed/master.info\" && echo \"$done\"\n\
          --go\n",
    );
    script.extend_from_slice(follows.file());
    run(api, to, &script, FOLLOWS).await.map(drop).map_err(|broken| broken.why(&to.name))
}
