//! Who manages a set: mariadb-operator, or nobody but Kubernetes.

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Why};
use super::kubernetes::StatefulSet;
use super::operator::{ApiGroup, Backup, OperatorVersion, OperatorView};
use super::operator_version::{self, OperatorDeployment};

/// Who makes and changes the StatefulSet. The Bitnami chart and hand-written sets are both [`Manager::StatefulSet`]; what
/// tells them apart is the set's [`Layout`](super::kubernetes::Layout).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Manager {
    Operator(Box<Operator>),
    StatefulSet,
}

/// A set that mariadb-operator manages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// The group of the `MariaDB` object.
    pub group: ApiGroup,
    /// The name of the `MariaDB` object: that of the set.
    pub name: String,
    /// The object owns the set (`ownerReferences`). Not so: they only share a name.
    pub owns: bool,
    /// What the operator was told and believes. An extra: whoever may not read it does with less.
    pub view: Fact<OperatorView>,
    /// Its `Backup` and `PhysicalBackup` objects, with the jobs that were seen of each.
    pub backups: Fact<Vec<Backup>>,
    /// The Deployments of which one is this operator. An extra, and not asked while watching.
    pub deployments: Fact<Vec<OperatorDeployment>>,
}

impl Operator {
    /// Of the operator that is at work now.
    #[must_use]
    pub fn version(&self) -> Fact<OperatorVersion> {
        operator_version::of_all(&self.deployments)
    }
}

impl Manager {
    /// The manager of `set`, by the owner it names and by the object of its name that was found (`Known(None)`: there is
    /// none). `found` was looked for in the group that [`Self::group_to_ask`] names.
    #[must_use]
    pub fn of(set: &StatefulSet, found: Fact<Option<OperatorView>>) -> Self {
        let owner = set.owner.as_ref().and_then(|owner| owner.operator().map(|group| (group, &owner.name, &owner.uid)));
        let (group, name, owns, view) = match (owner, found) {
            (Some((group, name, uid)), Fact::Known(Some(view))) => (group, name.clone(), *uid == view.uid, Fact::Known(view)),
            (Some((group, name, _)), Fact::Known(None)) => {
                let why = format!("there is no MariaDB {name} in {}, although it owns the StatefulSet", group.name());
                (group, name.clone(), true, Fact::Unknown(Why::Failed(why)))
            }
            (Some((group, name, _)), Fact::Unknown(why)) => (group, name.clone(), true, Fact::Unknown(why)),
            (None, Fact::Known(Some(view))) => (view.group, view.name.clone(), false, Fact::Known(view)),
            // Nothing hints at an operator, so nothing is missed.
            (None, Fact::Known(None) | Fact::Unknown(_)) => return Self::StatefulSet,
        };
        let (backups, deployments) = (Fact::Unknown(Why::NotAsked), Fact::Unknown(Why::NotAsked));
        Self::Operator(Box::new(Operator { group, name, owns, view, backups, deployments }))
    }

    /// The group in which the set's `MariaDB` object is to be looked for: its owner's, else the one of today.
    #[must_use]
    pub fn group_to_ask(set: &StatefulSet) -> ApiGroup {
        set.owner.as_ref().and_then(super::kubernetes::Owner::operator).unwrap_or(ApiGroup::MariaDb)
    }

    #[must_use]
    pub fn operator(&self) -> Option<&Operator> {
        match self {
            Self::Operator(operator) => Some(operator),
            Self::StatefulSet => None,
        }
    }

    /// What the operator was told and believes, as far as it could be read.
    #[must_use]
    pub fn view(&self) -> Option<&OperatorView> {
        self.operator()?.view.known().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kubernetes::Owner;
    use crate::model::testing::{operator_view, stateful_set};

    fn owned(api_version: &str, uid: &str) -> StatefulSet {
        let owner = Owner { api_version: api_version.into(), kind: "MariaDB".into(), name: "db".into(), uid: uid.into() };
        StatefulSet { owner: Some(owner), ..stateful_set(3) }
    }

    #[test]
    fn a_set_without_an_owner_and_an_object_is_nobodys() {
        let forbidden = Why::Forbidden("get mariadbs.k8s.mariadb.com in namespace shop".into());
        for found in [Fact::Known(None), Fact::Unknown(forbidden), Fact::Unknown(Why::NotAsked)] {
            assert_eq!(Manager::of(&stateful_set(3), found), Manager::StatefulSet);
        }
    }

    #[test]
    fn the_owner_tells_the_operator_even_if_its_object_may_not_be_read() {
        for (api_version, group) in [
            ("k8s.mariadb.com/v1alpha1", ApiGroup::MariaDb),
            ("enterprise.mariadb.com/v1alpha1", ApiGroup::Enterprise),
            ("mariadb.mmontes.io/v1alpha1", ApiGroup::Mmontes),
        ] {
            let set = owned(api_version, "1");
            assert_eq!(Manager::group_to_ask(&set), group);
            let why = Why::Forbidden("get mariadbs".into());
            let manager = Manager::of(&set, Fact::Unknown(why.clone()));
            let operator = manager.operator().unwrap();
            assert_eq!((operator.group, operator.owns, operator.view.known().err()), (group, true, Some(&why)));
        }
        let chart = owned("helm.example/v1", "1");
        assert_eq!(Manager::of(&chart, Fact::Known(None)), Manager::StatefulSet);
    }

    #[test]
    fn an_object_of_the_name_manages_the_set_and_owns_it_only_by_uid() {
        let view = operator_view();
        for (set, owns) in [
            (owned("k8s.mariadb.com/v1alpha1", &view.uid), true),
            (owned("k8s.mariadb.com/v1alpha1", "of an older object"), false),
            (stateful_set(3), false),
        ] {
            let manager = Manager::of(&set, Fact::Known(Some(view.clone())));
            assert_eq!(manager.operator().map(|operator| operator.owns), Some(owns));
            assert_eq!(manager.view(), Some(&view));
        }
    }
}
