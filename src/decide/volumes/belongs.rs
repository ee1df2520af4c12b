//! Whose a volume claim is, and what makes us think so.

use std::collections::BTreeSet;

use crate::model::kubernetes::StatefulSet;
use crate::model::names::Ordinal;
use crate::model::volumes::Volume;

/// What a claim belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belongs {
    /// Name of the `StatefulSet`.
    pub set: String,
    pub ordinal: Ordinal,
    pub by: By,
}

/// What makes us think so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The name is one that a claim template of a set makes that is there.
    Template(String),
    /// A label that only MariaDB's claims have; no set that is there makes claims of this name.
    Label(String),
    /// The name alone, in the manner of claim templates, and there is no such set. It may be anybody's.
    Name,
}

/// The label of mariadb-operator on its claims.
const OPERATOR: &str = "pvc.k8s.mariadb.com/role";
const APPLICATION: &str = "app.kubernetes.io/name";
/// How the Bitnami charts call what they make.
const BITNAMI: [&str; 2] = ["mariadb", "mariadb-galera"];
/// What people call the template of a data volume.
const USUAL: [&str; 6] = ["data", "storage", "mysql", "mariadb", "datadir", "db"];

/// Whose a claim is. `sets`: those that run MariaDB; `all`: the names of all sets of the namespace, if they are known. `None`:
/// nothing says that it is or was one of MariaDB.
#[must_use]
pub fn belongs(claim: &Volume, sets: &[&StatefulSet], all: Option<&BTreeSet<String>>) -> Option<Belongs> {
    if let Some(found) = sets.iter().find_map(|set| by_template(claim, set)) {
        return Some(found);
    }
    let (rest, digits) = claim.name.rsplit_once('-')?;
    let number: u32 = digits.parse().ok().filter(|number: &u32| number.to_string() == digits)?;
    let gone = |template: &str, by: By| {
        let set = rest.strip_prefix(template)?.strip_prefix('-').filter(|set| !set.is_empty())?;
        Some(Belongs { set: set.to_owned(), ordinal: Ordinal(number), by })
    };
    let labelled = |key: &str, value: &str| By::Label(format!("label {key}={value}"));
    if let Some(role) = claim.labels.get(OPERATOR) {
        return ["storage", "galera"].into_iter().find_map(|template| gone(template, labelled(OPERATOR, role)));
    }
    match claim.labels.get(APPLICATION) {
        Some(name) if BITNAMI.contains(&name.as_str()) => {
            return gone("data", labelled(APPLICATION, name));
        }
        // It says that it is something else.
        Some(_) => return None,
        None => {}
    }
    // Without a list of all sets it may be the volume of a set that is there and runs something else.
    let all = all?;
    USUAL.into_iter().find_map(|template| gone(template, By::Name)).filter(|found| !all.contains(&found.set))
}

fn by_template(claim: &Volume, set: &StatefulSet) -> Option<Belongs> {
    let ordinal = set.ordinal_of_claim(&claim.name)?;
    let end = format!("-{}", ordinal.pod(&set.name));
    let template = claim.name.strip_suffix(&end)?.to_owned();
    Some(Belongs { set: set.name.clone(), ordinal, by: By::Template(template) })
}
