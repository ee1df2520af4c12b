//! Documents for machines: JSON, YAML, one value per line.

use serde::Serialize;

use crate::cli::global::Format;
use crate::failure::Failure;

/// Version of every document's form. Additive changes only until 1.0.
pub const API_VERSION: &str = "kubectl-mariadb/v1alpha1";

/// A value with its type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, T> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    value: &'a T,
}

/// The text of a document, with its last line end. `None`: the format is for people.
#[must_use]
pub fn text<T: Serialize>(format: Format, kind: &'static str, value: &T) -> Option<String> {
    let document = Document { api_version: API_VERSION, kind, value };
    let text = match format {
        Format::Table | Format::Wide | Format::Name => return None,
        Format::Json => serde_json::to_string_pretty(&document).map_err(|error| error.to_string()),
        Format::Jsonl => serde_json::to_string(&document).map_err(|error| error.to_string()),
        Format::Yaml => serde_saphyr::to_string(&document).map_err(|error| error.to_string()),
    };
    // Our own types have string keys and no fallible serializers: nothing in them can fail to be written.
    let text = text.expect("documents are plain maps, lists and strings");
    Some(if text.ends_with('\n') { text } else { text + "\n" })
}

/// The document of a command that failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Failed<'a> {
    pub reason: &'static str,
    pub message: &'a str,
    pub hint: Option<&'a str>,
    pub exit_code: u8,
}

impl<'a> Failed<'a> {
    pub const KIND: &'static str = "Failure";

    #[must_use]
    pub fn new(failure: &'a Failure) -> Self {
        Self {
            reason: failure.kind.reason(),
            message: &failure.message,
            hint: failure.hint.as_deref(),
            exit_code: failure.exit().code(),
        }
    }
}
