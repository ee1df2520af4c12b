//! Screen of `version`.

use serde::Serialize;

use super::Screen;
use super::style::Label;
use super::styled::Styled;
use crate::failure::Exit;

/// The version of the plugin.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Version {
    /// With a leading `v`, as kubectl and krew write it.
    pub client_version: String,
}

impl Screen for Version {
    const KIND: &'static str = "Version";

    fn screen(&self, _wide: bool, out: &mut Styled) {
        out.line(Label::Plain, format!("Client Version: {}", self.client_version));
    }

    fn names(&self) -> Vec<String> {
        vec![self.client_version.clone()]
    }

    fn exit(&self) -> Exit {
        Exit::Ok
    }
}
