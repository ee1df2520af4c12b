//! `pvc list`: every claim of a namespace or of all, and with `--inspect` what the volumes hold that nobody mounts.

use std::collections::BTreeMap;

use crate::api::Api;
use crate::api::objects::{ByNamespace, Scope, get_whole_stateful_set};
use crate::api::volumes::{get_reclaim_policies, list_reclaim_policies, mounts, set_names};
use crate::api::writes::Denied;
use crate::carry_out::helper::Helpers;
use crate::carry_out::{Consent, Mode};
use crate::decide::helper::Helper;
use crate::decide::unobserved;
use crate::decide::volumes::list::{Entry, Seen, entries};
use crate::decide::volumes::prune::{Mounts, leftovers, to_read};
use crate::failure::{Exit, Failure, Kind};
use crate::model::fact::{Fact, Why};
use crate::model::names::Target;
use crate::model::snapshot::Snapshot;
use crate::model::target_name::TargetName;
use crate::model::volumes::Volume;
use crate::observe::{self, Depth, within};

use super::read::{Read, read};
use super::volumes_in;

pub struct Listing<'a> {
    pub api: &'a Api,
    pub scope: Scope<'a>,
    pub only: Option<&'a TargetName>,
    pub inspect: bool,
    pub depth: Depth,
    pub mode: Mode,
    pub helpers: &'a Helpers<'a>,
}

/// What was found.
pub struct Found {
    pub taken: jiff::Timestamp,
    /// `None`: all.
    pub namespace: Option<String>,
    /// By namespace, cluster and ordinal.
    pub entries: Vec<Entry>,
    /// Why volumes were not read, although that was asked for.
    pub unread: Vec<String>,
    /// Extras that could not be seen: what, and why.
    pub unseen: Vec<(&'static str, Why)>,
    pub exit: Exit,
}

impl Listing<'_> {
    /// One run. `agree` is asked before helper pods are created.
    ///
    /// # Errors
    /// The sets, their pods or the claims could not be listed.
    pub async fn run(&self, agree: &mut impl AsyncFnMut(&Target, &[Helper]) -> Consent) -> Result<Found, Failure> {
        let limit = self.depth.pod_timeout;
        let volumes = volumes_in(self.api, self.scope).await?;
        let mounts = within(limit, mounts(self.api, self.scope)).await;
        let sets = within(limit, set_names(self.api, self.scope)).await;
        let mut clusters = self.clusters(&volumes).await?;
        let (mut unread, mut exits) = (Vec::new(), Vec::new());
        if self.inspect {
            for cluster in &mut clusters {
                let volumes = volumes.get(&cluster.target.namespace).map_or(&[][..], Vec::as_slice);
                let mounts = here(&mounts, &cluster.target.namespace);
                let (why, exit) = Box::pin(self.inspected(cluster, volumes, &mounts, agree)).await?;
                unread.extend(why);
                exits.extend(exit);
            }
        }
        let reclaim = within(limit, self.reclaim_policies(&volumes)).await;
        let only = self.only.map(TargetName::name);
        let entries: Vec<Entry> = volumes
            .iter()
            .flat_map(|(namespace, volumes)| {
                let (mounts, sets) = (here(&mounts, namespace), here(&sets, namespace));
                let mut each = clusters.chunk_by(|a, b| a.target.namespace == b.target.namespace);
                let clusters = each.find(|some| some[0].target.namespace == *namespace).unwrap_or_default();
                entries(&Seen { namespace, clusters, volumes, mounts: &mounts, sets: &sets, reclaim: &reclaim }, only)
            })
            .collect();
        if let (Some(only), true, true) = (only, entries.is_empty(), clusters.is_empty()) {
            let text =
                format!("there is no StatefulSet {only} in namespace {}, and no volume claim of one", self.api.namespace());
            return Err(Failure::new(Kind::NotFound, text).hint("`kubectl mariadb pvc list` shows those of every cluster"));
        }
        let extras =
            [("pods", mounts.known().err()), ("statefulsets", sets.known().err()), ("persistentvolumes", reclaim.known().err())];
        let unseen = extras.into_iter().filter_map(|(what, why)| Some((what, why?.clone()))).collect();
        let taken = self.depth.clock.now();
        let namespace = self.scope.namespace().map(str::to_owned);
        Ok(Found { taken, namespace, entries, unread, unseen, exit: worst(exits.into_iter().chain(clusters.iter().map(exit))) })
    }

    /// The clusters that are meant. A name may be one of a set that is gone, and has left volumes.
    async fn clusters(&self, volumes: &ByNamespace<Volume>) -> Result<Vec<Snapshot>, Failure> {
        let Some(name) = self.only else {
            return Box::pin(observe::clusters(self.api, self.scope, self.depth, |_| true)).await;
        };
        match Box::pin(observe::named(self.api, name, self.depth)).await {
            Ok(seen) => Ok(vec![seen]),
            Err(failure) if failure.kind == Kind::NotFound => {
                let left = format!("-{}-", name.name());
                if volumes.values().flatten().any(|volume| volume.name.contains(&left)) { Ok(Vec::new()) } else { Err(failure) }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Of all namespaces in one request: they may have thousands.
    async fn reclaim_policies(&self, volumes: &ByNamespace<Volume>) -> Fact<BTreeMap<String, String>> {
        if matches!(self.scope, Scope::AllNamespaces) {
            return list_reclaim_policies(self.api).await;
        }
        let names = volumes.values().flatten().filter_map(|volume| volume.volume.as_deref()).collect();
        get_reclaim_policies(self.api, names).await
    }

    /// Puts what helper pods read into the members of `cluster`. Why nothing was read, and how that ends the command.
    async fn inspected(
        &self,
        cluster: &mut Snapshot,
        volumes: &[Volume],
        mounts: &Fact<Mounts>,
        agree: &mut impl AsyncFnMut(&Target, &[Helper]) -> Consent,
    ) -> Result<(Option<String>, Option<Exit>), Failure> {
        let left = leftovers(cluster, volumes, mounts);
        let to_read = to_read(cluster, &left);
        if to_read.members.len() == cluster.members.len() {
            return Ok((None, None));
        }
        let target = cluster.target.clone();
        let set = get_whole_stateful_set(self.api, &target.namespace, &target.name).await?;
        let mut agree = async |helpers: &[Helper]| agree(&target, helpers).await;
        let name = &cluster.target.name;
        let why = match Box::pin(read(self.api, &to_read, &set, self.depth, self.helpers, self.mode, &mut agree)).await? {
            Read::Files(files) => {
                for (ordinal, files) in files {
                    let mut member = to_read.members[&ordinal].clone();
                    member.files = files;
                    cluster.members.insert(ordinal, member);
                }
                return Ok((None, None));
            }
            Read::Planned(helpers) => {
                let names: Vec<&str> = helpers.iter().map(|helper| helper.name.as_str()).collect();
                (format!("{name}: would be read by {}", names.join(", ")), None)
            }
            Read::Denied(denied) => {
                let exit = if denied.iter().any(|(_, why)| matches!(why, Denied::Right(_))) {
                    Exit::Forbidden
                } else {
                    Exit::Unobserved
                };
                let why: Vec<String> =
                    denied.into_iter().map(|(helper, why)| format!("{}: {}", helper.name, Why::from(why))).collect();
                (format!("{name}: the API server would not take a helper pod: {}", why.join("; ")), Some(exit))
            }
            Read::Declined => (format!("{name}: left-over volumes were not read"), Some(Exit::Declined)),
            Read::NobodyToAsk => {
                let why = format!("{name}: left-over volumes were not read, for there is no terminal to ask at; give -y");
                (why, Some(Exit::Refused))
            }
        };
        Ok((Some(why.0), why.1))
    }
}

/// What was found in one namespace.
fn here<T: Clone + Default>(found: &Fact<BTreeMap<String, T>>, namespace: &str) -> Fact<T> {
    found.clone().map(|mut found| found.remove(namespace).unwrap_or_default())
}

/// What of the members was needed and could not be seen.
fn exit(seen: &Snapshot) -> Exit {
    let needed = unobserved(seen).needed;
    match needed.iter().any(|gap| matches!(gap.why, Why::Forbidden(_))) {
        true => Exit::Forbidden,
        false if needed.is_empty() => Exit::Ok,
        false => Exit::Unobserved,
    }
}

fn worst(exits: impl Iterator<Item = Exit>) -> Exit {
    const WORST_FIRST: [Exit; 4] = [Exit::Forbidden, Exit::Unobserved, Exit::Refused, Exit::Declined];
    let exits: Vec<Exit> = exits.collect();
    WORST_FIRST.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Ok)
}
