//! When a certificate ends, read from its DER: the few fields on the way there and no more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::model::disk::Certificate;

/// `PATH`, then the lines between BEGIN CERTIFICATE and END CERTIFICATE. `None`: there is none, or it is none.
pub fn read(text: &str) -> Option<Certificate> {
    let (path, body) = text.trim_start().split_once('\n')?;
    let der = STANDARD.decode(body.split_whitespace().collect::<String>()).ok()?;
    let (starts, ends) = validity(&der)?;
    Some(Certificate { path: path.to_owned(), starts, ends })
}

/// `Certificate { tbsCertificate { [0] version, serialNumber, signature, issuer, validity { notBefore, notAfter } … } … }`
/// (RFC 5280, 4.1).
fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let inside = |(tag, content, _): (u8, &'_ [u8], &'_ [u8])| (tag == SEQUENCE).then_some(content.to_vec());
    let certificate = inside(element(der)?)?;
    let signed = inside(element(&certificate)?)?;
    let mut rest = &signed[..];
    let (tag, _, after) = element(rest)?;
    if tag == VERSION {
        rest = after;
    }
    for _ in ["serialNumber", "signature", "issuer"] {
        rest = element(rest)?.2;
    }
    let validity = inside(element(rest)?)?;
    let (first, starts, rest) = element(&validity)?;
    let (second, ends, _) = element(rest)?;
    Some((time(first, starts)?, time(second, ends)?))
}

/// Tag, content and what follows of the first element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], mut rest) = der.split_first_chunk::<2>()?;
    let mut size = usize::from(length);
    if length & 0x80 != 0 {
        let (digits, after) = rest.split_at_checked(usize::from(length & 0x7f))?;
        size = digits.iter().try_fold(0_usize, |size, digit| size.checked_mul(256)?.checked_add(usize::from(*digit)))?;
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(size)?;
    Some((tag, content, rest))
}

/// `YYMMDDhhmmssZ` (from 1950 on) or `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        UTC_TIME => format!("{}{text}", if text.as_bytes().first()? < &b'5' { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let [year, month, day, hour, minute, second] =
        [0..4, 4..6, 6..8, 8..10, 10..12, 12..14].map(|digits| text.get(digits).unwrap_or_default());
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: (i32, u8, u8), to: (i32, u8, u8)) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["db".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn body(pem: &str) -> String {
        pem.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn both_ways_of_writing_a_time_are_read() {
        for (to, expected) in [((2027, 3, 5), "2027-03-05T00:00:00Z"), ((2061, 12, 31), "2061-12-31T00:00:00Z")] {
            let certificate = read(&format!("/etc/tls/server.pem\n{}\n", body(&made((2026, 1, 2), to)))).unwrap();
            assert_eq!(certificate.path, "/etc/tls/server.pem");
            assert_eq!(certificate.starts.to_string(), "2026-01-02T00:00:00Z");
            assert_eq!(certificate.ends.to_string(), expected);
        }
    }

    #[test]
    fn what_is_cut_or_something_else_is_no_certificate() {
        let whole = STANDARD.decode(body(&made((2026, 1, 2), (2027, 3, 5))).replace('\n', "")).unwrap();
        for length in 0..whole.len() {
            assert_eq!(validity(&whole[..length]), None, "cut at {length}");
        }
        for text in ["", "\n", "/etc/tls/server.pem\n", "/etc/tls/server.pem\nnot base64!\n", "/x\nAAAA\n"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
