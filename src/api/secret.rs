//! The password that `--password-from` names, with the user's own right to read the Secret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::failure::{Failure, Kind};
use crate::model::secret_key::SecretKey;

use super::{Api, Ask, Password};

#[derive(Deserialize)]
struct Secret {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// The connection with the password of the Secret that is named, in the namespace in use; the same, if none is named.
///
/// # Errors
/// All namespaces are meant, and a Secret is in one; the Secret does not exist, may not be read, or has no such key or no password in it; one sentence that never holds it.
pub async fn with_password(api: Api, key: Option<&SecretKey>, all_namespaces: bool) -> Result<Api, Failure> {
    let Some(key) = key else { return Ok(api) };
    if all_namespaces {
        let message = "--password-from names a Secret of one namespace: it does not go with -A";
        return Err(Failure::new(Kind::Usage, message));
    }
    let namespace = api.namespace().to_owned();
    let ask = Ask { verb: "get", group: "/api/v1", resource: "secrets", namespace: Some(&namespace), name: Some(&key.name) };
    let secret: Secret = api.get(&ask).await.map_err(|trouble| match trouble.kind {
        Kind::NotFound => {
            let message = format!("the Secret {} that --password-from names does not exist in namespace {namespace}", key.name);
            Failure::new(Kind::NotFound, message).hint("`kubectl get secrets` lists them; -n names another namespace")
        }
        _ => trouble.into(),
    })?;
    let Some(encoded) = secret.data.get(&key.key) else {
        let keys: Vec<&str> = secret.data.keys().map(String::as_str).collect();
        let has = if keys.is_empty() { "it is empty".to_owned() } else { format!("it has {}", keys.join(", ")) };
        let message = format!("the Secret {} in namespace {namespace} has no key {}: {has}", key.name, key.key);
        return Err(Failure::new(Kind::NotFound, message));
    };
    match read(encoded) {
        Some(password) => Ok(api.with_password(Password(password))),
        None => {
            let message = format!("{key} in namespace {namespace} holds no password: it is empty, or not one line of text");
            Err(Failure::new(Kind::NotFound, message))
        }
    }
}

/// One line of text; the line end that editors and `echo` add is no part of it.
fn read(encoded: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let line = text.trim_end_matches(['\r', '\n']);
    (!line.is_empty() && !line.contains(['\n', '\0'])).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line() {
        for (bytes, expected) in [
            ("s3cret!", Some("s3cret!")),
            ("it's $(x) \\ \"\n", Some("it's $(x) \\ \"")),
            ("", None),
            ("\n", None),
            ("a\n--go\nb", None),
        ] {
            assert_eq!(read(&STANDARD.encode(bytes)).as_deref(), expected, "{bytes:?}");
        }
        assert_eq!(read("not base64!"), None);
    }
}
