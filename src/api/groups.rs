//! Which API groups there are: a kind that is not served is told apart from one that may not be read.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::model::fact::Fact;
use crate::model::operator::ApiGroup;

use super::{Api, Ask};

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
}

/// The groups of mariadb-operator that are served here.
pub async fn of_operators(api: &Api) -> Fact<BTreeSet<ApiGroup>> {
    let ask = Ask { verb: "get", group: "", resource: "/apis", namespace: None, name: None };
    let request = http::Request::get("/apis").body(Vec::new()).map_err(kube::core::request::Error::BuildRequest);
    let said = api.ask::<Groups>(&ask, request).await;
    let known = |said: Groups| {
        let is_there = |group: &ApiGroup| said.groups.iter().any(|served| served.name == group.name());
        ApiGroup::ALL.into_iter().filter(is_there).collect()
    };
    Fact::from(said.map(known).map_err(Into::into))
}
