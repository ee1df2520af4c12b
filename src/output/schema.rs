//! JSON schemas of every document: files in `docs/schema/`, and a check for the tests of the screens.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::Screen;
use super::can_stop::CanStop;
use super::explain::{Explanation, ExplanationList};
use super::grastate::Grastate;
use super::operation::{Ended, Journal, JournalList, Planned, Progress, Refused};
use super::sql::document::{self, SqlResult, SqlRow};
use super::sql::side::SqlComparison;
use super::status::{Status, StatusList};
use super::structured::{API_VERSION, Failed};
use super::version::Versions;
use super::volumes::{VolumeChange, VolumeList};
use super::waited::Waited;
use crate::generated;

fn schema<T: JsonSchema>(kind: &str) -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    schema["title"] = json!(kind);
    schema["properties"]["apiVersion"] = json!({"type": "string", "const": API_VERSION});
    schema["properties"]["kind"] = json!({"type": "string", "const": kind});
    let required = schema["required"].as_array_mut().expect("a document has fields");
    required.splice(0..0, [json!("apiVersion"), json!("kind")]);
    schema
}

fn all() -> [(&'static str, Value); 20] {
    [
        (CanStop::KIND, schema::<CanStop>(CanStop::KIND)),
        (Explanation::KIND, schema::<Explanation>(Explanation::KIND)),
        (ExplanationList::KIND, schema::<ExplanationList>(ExplanationList::KIND)),
        (Failed::KIND, schema::<Failed>(Failed::KIND)),
        (Grastate::KIND, schema::<Grastate>(Grastate::KIND)),
        (SqlComparison::KIND, schema::<SqlComparison>(SqlComparison::KIND)),
        (document::KIND, schema::<SqlResult>(document::KIND)),
        (document::ROW_KIND, schema::<SqlRow>(document::ROW_KIND)),
        (Journal::KIND, schema::<Journal>(Journal::KIND)),
        (JournalList::KIND, schema::<JournalList>(JournalList::KIND)),
        (Ended::KIND, schema::<Ended>(Ended::KIND)),
        (Planned::KIND, schema::<Planned>(Planned::KIND)),
        (Progress::KIND, schema::<Progress>(Progress::KIND)),
        (Refused::KIND, schema::<Refused>(Refused::KIND)),
        (Status::KIND, schema::<Status>(Status::KIND)),
        (StatusList::KIND, schema::<StatusList>(StatusList::KIND)),
        (VolumeChange::KIND, schema::<VolumeChange>(VolumeChange::KIND)),
        (VolumeList::KIND, schema::<VolumeList>(VolumeList::KIND)),
        (Versions::KIND, schema::<Versions>(Versions::KIND)),
        (Waited::KIND, schema::<Waited>(Waited::KIND)),
    ]
}

/// Readers must bear new fields, so schemas allow them. Here a field that the schema does not know is a mistake.
fn forbid_other_fields(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(forbid_other_fields);
            if fields.get("properties").is_some_and(Value::is_object) && fields.get("type") == Some(&json!("object")) {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_other_fields),
        _ => {}
    }
}

/// A printed document, checked against the schema of its kind.
pub fn check(text: &str) {
    let document: Value = serde_json::from_str(text).expect("it is JSON");
    let (_, mut schema) =
        all().into_iter().find(|(kind, _)| document["kind"] == *kind).unwrap_or_else(|| panic!("no schema for {text}"));
    forbid_other_fields(&mut schema);
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mistakes: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(mistakes.is_empty(), "{mistakes:#?}\n{text}");
}

#[test]
fn schemas_are_those_of_the_code() {
    for (kind, schema) in all() {
        let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        generated::check(&format!("schema/{kind}.json"), &text);
    }
}

#[test]
fn a_field_without_a_schema_is_found() {
    let known = r#"{"apiVersion": "kubectl-mariadb/v1alpha1", "kind": "Version", "clientVersion": "v1"}"#;
    check(known);
    let unknown = known.replace("clientVersion", "client_version");
    assert!(std::panic::catch_unwind(|| check(&unknown)).is_err());
}
