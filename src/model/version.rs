//! Server versions: `10.11.19-MariaDB-deb12-log`. Not semver.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The series MariaDB maintains for years: upgrades go from one to the next.
const LTS: [(u32, u32); 5] = [(10, 6), (10, 11), (11, 4), (11, 8), (12, 3)];

/// Compared by its numbers alone: packaging suffixes and `-log` differ between members of one version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
    /// The whole text the server gave.
    pub text: String,
}

impl Version {
    /// What replicates and upgrades as one: `10.11`.
    #[must_use]
    pub fn series(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    #[must_use]
    pub fn is_lts(&self) -> bool {
        LTS.contains(&(self.major, self.minor))
    }

    /// The long-term series between two versions, both left out.
    #[must_use]
    pub fn lts_between(from: &Self, to: &Self) -> Vec<String> {
        let (from, to) = ((from.major, from.minor), (to.major, to.minor));
        LTS.iter().filter(|series| from < **series && **series < to).map(|(major, minor)| format!("{major}.{minor}")).collect()
    }

    const fn numbers(&self) -> (u32, u32, u32) {
        (self.major, self.minor, self.patch)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.numbers() == other.numbers()
    }
}

impl Eq for Version {}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers().cmp(&other.numbers())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The numbers only: `10.11.19`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // Until 11.0 the handshake put 5.5.5- in front, for replicas that took 10 for older than 5.
        let version = text.strip_prefix("5.5.5-").unwrap_or(text);
        let end = version.find(|letter: char| letter != '.' && !letter.is_ascii_digit()).unwrap_or(version.len());
        let mut numbers = version[..end].split('.').map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Self { major, minor, patch, text: text.to_owned() }),
            _ => Err(format!("`{text}` is no server version")),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_servers_give_are_understood() {
        for (text, shown, series, lts) in [
            ("10.11.19-MariaDB-deb12-log", "10.11.19", "10.11", true),
            ("10.11.19-MariaDB-0+deb12u1-log", "10.11.19", "10.11", true),
            ("11.8.6-MariaDB", "11.8.6", "11.8", true),
            ("11.8.6-MariaDB-0+deb13u1 from Debian-log", "11.8.6", "11.8", true),
            ("5.5.5-10.6.21-MariaDB-1:10.6.21+maria~ubu2204", "10.6.21", "10.6", true),
            ("11.2.2-MariaDB\n", "11.2.2", "11.2", false),
            ("12.1.2", "12.1.2", "12.1", false),
        ] {
            let version: Version = text.parse().unwrap();
            assert_eq!((version.to_string().as_str(), version.series().as_str(), version.is_lts()), (shown, series, lts));
            assert_eq!(version.text, text.trim());
        }
        for text in ["", "MariaDB", "10.11", "10.11.x", "10..11.2", "10.11.4.5", "99999999999.1.1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_step_over_a_long_term_series_is_seen() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        for (from, to, between) in [
            ("10.11.18", "10.11.19", vec![]),
            ("10.11.18", "11.4.1", vec![]),
            ("10.11.18", "11.8.6", vec!["11.4"]),
            ("10.6.1", "11.8.6", vec!["10.11", "11.4"]),
            ("11.8.6", "10.11.18", vec![]),
            ("11.2.2", "11.4.3", vec![]),
        ] {
            assert_eq!(Version::lts_between(&version(from), &version(to)), between, "{from} to {to}");
        }
    }

    #[test]
    fn order_is_by_numbers() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("10.6.21") < version("10.11.2"));
        assert!(version("10.11.19-MariaDB") < version("11.4.1"));
        assert_eq!(version("10.11.19-MariaDB-log"), version("10.11.19-MariaDB"));
    }

    #[test]
    fn the_whole_text_is_what_is_kept() {
        let version: Version = "10.11.19-MariaDB-log".parse().unwrap();
        assert_eq!(serde_json::to_string(&version).unwrap(), r#""10.11.19-MariaDB-log""#);
    }
}
