//! How a user names a password in a Secret.

use std::fmt;
use std::str::FromStr;

/// `secret/NAME:KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKey {
    pub name: String,
    pub key: String,
}

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret/{}:{}", self.name, self.key)
    }
}

impl FromStr for SecretKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.strip_prefix("secret/").or_else(|| text.strip_prefix("secrets/")).and_then(|rest| rest.split_once(':'));
        match named {
            Some((name, key)) if !name.is_empty() && !key.is_empty() && !name.contains('/') => {
                Ok(Self { name: name.to_owned(), key: key.to_owned() })
            }
            _ => Err("give the Secret and the key in it that holds the password, as secret/NAME:KEY".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_and_its_key_are_named_together() {
        let read = |text: &str| text.parse::<SecretKey>().map(|key| key.to_string());
        assert_eq!(read("secret/db-root:password").as_deref(), Ok("secret/db-root:password"));
        assert_eq!(read("secrets/db:a.b_c").as_deref(), Ok("secret/db:a.b_c"));
        for text in
            ["", "db-root", "db-root:password", "secret/db-root", "secret/:password", "secret/db:", "secret/a/b:c", "hunter2"]
        {
            let error = read(text).unwrap_err();
            assert!(error.ends_with("secret/NAME:KEY"), "{text}: {error}");
        }
    }
}
