//! Sizes as Kubernetes writes them: `10Gi`, `1.5G`, `1e9`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    pub bytes: u128,
    text: String,
}

/// Units and the bytes of each. Parts of a byte (`m`, `u`, `n`) are quantities to Kubernetes and no sizes of a volume.
const UNITS: [(&str, u128); 13] = [
    ("", 1),
    ("k", 1000),
    ("M", 1000_u128.pow(2)),
    ("G", 1000_u128.pow(3)),
    ("T", 1000_u128.pow(4)),
    ("P", 1000_u128.pow(5)),
    ("E", 1000_u128.pow(6)),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
];

/// Kubernetes keeps no more than this.
const MOST: u128 = i64::MAX as u128;

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = bytes(text).ok_or_else(|| format!("`{text}` is no size: write it as 10Gi, 500Mi or 1.5T"))?;
        if bytes == 0 || bytes > MOST {
            return Err(format!("`{text}` is no size of a volume: it is 0 or more than Kubernetes counts"));
        }
        Ok(Self { bytes, text: text.to_owned() })
    }
}

/// Parts of a byte are rounded up, as Kubernetes does.
fn bytes(text: &str) -> Option<u128> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let all = format!("{whole}{part}");
    // More digits than a size has, and more than fit.
    if all.is_empty() || part.contains('.') || all.len() > 30 {
        return None;
    }
    let factor = match unit.strip_prefix(['e', 'E']).filter(|power| power.starts_with(|c: char| c.is_ascii_digit())) {
        Some(power) => 10_u128.checked_pow(power.parse().ok()?)?,
        None => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    let scale = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    Some(all.parse::<u128>().ok()?.checked_mul(factor)?.div_ceil(scale))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_as_kubernetes_reads_them() {
        for (text, wanted) in [
            ("768Mi", 768 << 20),
            ("1.5G", 1_500_000_000),
            ("1000", 1000),
            ("64Ki", 65536),
            ("1e9", 1_000_000_000),
            ("2E3", 2000),
            ("1E", 1_000_000_000_000_000_000),
            ("0.5Gi", 1 << 29),
            (".5k", 500),
            ("5.", 5),
            ("0.3", 1),
        ] {
            assert_eq!(text.parse::<Quantity>().map(|size| size.bytes), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_said_so() {
        for text in
            ["", "Gi", "1X", "-1Gi", "+1", "1 Gi", "1gi", "1GB", "100m", "0", "0Gi", "1.2.3", ".", "1e", "9Ei", "1e40", "1e99999"]
        {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_typed_is_too_much(text in "[0-9.eEKMGTPi]{0,40}") {
            if let Ok(size) = text.parse::<Quantity>() {
                prop_assert!(size.bytes > 0 && size.to_string() == text);
            }
        }

        #[test]
        fn bytes_are_themselves(bytes in 1..=MOST) {
            prop_assert_eq!(bytes.to_string().parse::<Quantity>().map(|size| size.bytes), Ok(bytes));
        }
    }
}
