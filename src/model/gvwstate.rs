//! `gvwstate.dat`: the last Primary view, present unless the server stopped cleanly.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gvwstate {
    pub my_uuid: Uuid,
    pub view_uuid: Uuid,
    pub view_number: u64,
    /// 1 in the view that `pc.bootstrap` or a new cluster made.
    pub bootstrap: bool,
    pub members: Vec<Uuid>,
}
