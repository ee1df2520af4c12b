//! Who manages a set, and what that manager believes: extras that hold nothing up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;

use super::{joined, within};
use crate::api::objects::{
    BackupOwner, ByNamespace, OwnScope, Scope, get_operator_view, list_backup_runs, list_backups, list_operator_views,
};
use crate::api::{Api, groups, versions};
use crate::model::fact::{Fact, Why};
use crate::model::kubernetes::{Owner, StatefulSet};
use crate::model::manager::Manager;
use crate::model::names::Target;
use crate::model::operator::{ApiGroup, Backup, BackupKind, BackupRun, OperatorView};
use crate::model::operator_version::OperatorDeployment;

/// The request for the `MariaDB` object of a set's name, in the group of today: nothing is known of the set yet.
pub struct Asked(JoinHandle<Fact<Option<OperatorView>>>);

impl Asked {
    pub fn ask(api: &Api, namespace: &str, name: &str) -> Self {
        let (api, namespace, name) = (api.clone(), namespace.to_owned(), name.to_owned());
        Self(tokio::spawn(async move { get_operator_view(&api, ApiGroup::MariaDb, &namespace, &name).await }))
    }

    /// The object, `limit` at most from now.
    pub async fn wait(self, limit: Duration) -> Fact<Option<OperatorView>> {
        within(limit, joined(self.0)).await
    }
}

/// The manager of one set. What the first round asked for is not asked again; an older group, and backups, only if the set's
/// owner names one.
pub async fn of(api: &Api, set: &StatefulSet, asked: Asked, limit: Duration) -> Manager {
    let scope = Scope::Namespace(&set.namespace);
    let group = Manager::group_to_ask(set);
    let view = async {
        match group {
            ApiGroup::MariaDb => asked.wait(limit).await,
            older => within(limit, get_operator_view(api, older, &set.namespace, &set.name)).await,
        }
    };
    let around = |group| Box::pin(around(api, [group].into(), scope, limit));
    let owned = async {
        match set.owner.as_ref().and_then(Owner::operator) {
            Some(group) => Some(around(group).await),
            None => None,
        }
    };
    let (view, owned) = tokio::join!(view, owned);
    let mut manager = Manager::of(set, view);
    if let Manager::Operator(operator) = &mut manager {
        let (backups, deployments) = match owned {
            Some(owned) => owned,
            // An object that only shares the set's name.
            None => around(operator.group).await,
        };
        operator.backups = backups.of(operator.group, &set.namespace, &operator.name);
        operator.deployments = deployments;
    }
    manager
}

/// What is asked for only where there is an operator of these groups.
async fn around(api: &Api, groups: BTreeSet<ApiGroup>, scope: Scope<'_>, limit: Duration) -> (Backups, Deployments) {
    tokio::join!(Backups::list(api, groups.clone(), scope, limit), deployments(api, &groups, limit))
}

/// The Deployments of the operators of these groups. Only those of mariadb-operator itself are known by a label.
async fn deployments(api: &Api, groups: &BTreeSet<ApiGroup>, limit: Duration) -> Deployments {
    if groups.iter().all(|group| *group == ApiGroup::Enterprise) {
        return Fact::Unknown(Why::NotAsked);
    }
    within(limit, versions::operators(api)).await
}

type Deployments = Fact<Vec<OperatorDeployment>>;

/// The `MariaDB` objects of one group.
type Views = Fact<ByNamespace<OperatorView>>;

/// The requests for the `MariaDB` objects of many sets, in the group of today.
pub struct AskedAll {
    today: JoinHandle<Views>,
    /// Where objects without a set are looked for: nothing names their group.
    served: Option<JoinHandle<Fact<BTreeSet<ApiGroup>>>>,
}

/// What the operators of many sets say.
pub struct Managers {
    views: BTreeMap<ApiGroup, Views>,
    served: Fact<BTreeSet<ApiGroup>>,
    backups: Backups,
    deployments: Deployments,
}

impl AskedAll {
    /// `unmade`: whether objects without a set are wanted as well.
    pub fn ask(api: &Api, scope: Scope<'_>, unmade: bool) -> Self {
        let (own, scope) = (api.clone(), OwnScope::from(scope));
        let today = tokio::spawn(async move { list_operator_views(&own, ApiGroup::MariaDb, scope.get()).await });
        let api = api.clone();
        Self { today, served: unmade.then(|| tokio::spawn(async move { groups::of_operators(&api).await })) }
    }

    /// Waits for the objects, and asks for whatever else the owners of the sets name: a number of lists that does not
    /// depend on how many sets there are.
    pub async fn wait(self, api: &Api, owners: BTreeSet<ApiGroup>, scope: Scope<'_>, limit: Duration) -> Managers {
        let is_older = |group: &ApiGroup| *group != ApiGroup::MariaDb;
        let of = |group| async move { (group, within(limit, list_operator_views(api, group, scope)).await) };
        let owned = join_all(owners.iter().copied().filter(is_older).map(of));
        let others = async {
            let Some(served) = self.served else { return (Fact::Unknown(Why::NotAsked), Vec::new()) };
            let served = within(limit, joined(served)).await;
            let others = served.known().into_iter().flatten().copied().filter(|group| is_older(group) && !owners.contains(group));
            let others = join_all(others.map(of)).await;
            (served, others)
        };
        let (today, owned, (served, others), (backups, deployments)) =
            tokio::join!(within(limit, joined(self.today)), owned, others, around(api, owners.clone(), scope, limit));
        let views = owned.into_iter().chain(others).chain([(ApiGroup::MariaDb, today)]);
        Managers { views: views.collect(), served, backups, deployments }
    }
}

impl Managers {
    /// The manager of one of the sets.
    pub fn of(&self, set: &StatefulSet) -> Manager {
        let view = match self.views.get(&Manager::group_to_ask(set)) {
            Some(Fact::Known(found)) => {
                let here = found.get(&set.namespace).into_iter().flatten();
                Fact::Known(here.into_iter().find(|view| view.name == set.name).cloned())
            }
            Some(Fact::Unknown(why)) => Fact::Unknown(why.clone()),
            None => Fact::Unknown(Why::NotAsked),
        };
        let mut manager = Manager::of(set, view);
        if let Manager::Operator(operator) = &mut manager {
            operator.backups = self.backups.of(operator.group, &set.namespace, &operator.name);
            if operator.group != ApiGroup::Enterprise {
                operator.deployments.clone_from(&self.deployments);
            }
        }
        manager
    }

    /// The objects that none of all `sets` is of.
    pub fn unmade(&self, sets: &BTreeSet<Target>) -> Vec<OperatorView> {
        let views = self.views.values().filter_map(|views| views.known().ok()).flat_map(BTreeMap::values).flatten();
        let has_set =
            |view: &&OperatorView| sets.contains(&Target { namespace: view.namespace.clone(), name: view.name.clone() });
        views.filter(|view| !has_set(view)).cloned().collect()
    }

    /// Why there may be more of them. A group that is not served has none, whoever may list it.
    pub fn unlisted(&self) -> Option<Why> {
        match &self.served {
            Fact::Unknown(why) => Some(why.clone()),
            Fact::Known(served) => served.iter().find_map(|group| self.views.get(group)?.known().err().cloned()),
        }
    }
}

/// The groups of the operators that own these sets.
pub fn owners<'a>(sets: impl IntoIterator<Item = &'a StatefulSet>) -> BTreeSet<ApiGroup> {
    sets.into_iter().filter_map(|set| set.owner.as_ref().and_then(Owner::operator)).collect()
}

type Listed = Fact<ByNamespace<(String, Backup)>>;

/// Backups of some groups, and the jobs of all.
struct Backups {
    listed: BTreeMap<ApiGroup, [Listed; 2]>,
    runs: Fact<ByNamespace<(BackupOwner, BackupRun)>>,
}

impl Backups {
    /// Nothing is asked if no group is given.
    async fn list(api: &Api, groups: BTreeSet<ApiGroup>, scope: Scope<'_>, limit: Duration) -> Self {
        if groups.is_empty() {
            return Self { listed: BTreeMap::new(), runs: Fact::Unknown(Why::NotAsked) };
        }
        let of_group = |group| async move {
            let kind = |kind| within(limit, list_backups(api, group, kind, scope));
            let (logical, physical) = tokio::join!(kind(BackupKind::Logical), kind(BackupKind::Physical));
            (group, [logical, physical])
        };
        let (listed, runs) =
            tokio::join!(join_all(groups.into_iter().map(of_group)), within(limit, list_backup_runs(api, scope)));
        Self { listed: listed.into_iter().collect(), runs }
    }

    /// The backups of one cluster with their runs.
    fn of(&self, group: ApiGroup, namespace: &str, cluster: &str) -> Fact<Vec<Backup>> {
        let mut own = Vec::new();
        for listed in self.listed.get(&group).into_iter().flatten() {
            match listed {
                Fact::Unknown(why) => return Fact::Unknown(why.clone()),
                Fact::Known(found) => {
                    let here = found.get(namespace).into_iter().flatten().filter(|(of, _)| of == cluster);
                    own.extend(here.map(|(_, backup)| Backup { runs: self.runs(namespace, backup), ..backup.clone() }));
                }
            }
        }
        if self.listed.contains_key(&group) { Fact::Known(own) } else { Fact::Unknown(Why::NotAsked) }
    }

    fn runs(&self, namespace: &str, backup: &Backup) -> Fact<Vec<BackupRun>> {
        match &self.runs {
            Fact::Known(found) => {
                let here = found.get(namespace).into_iter().flatten().filter(|(owner, _)| owner.is(backup));
                Fact::Known(here.map(|(_, run)| run.clone()).collect())
            }
            Fact::Unknown(why) => Fact::Unknown(why.clone()),
        }
    }
}
