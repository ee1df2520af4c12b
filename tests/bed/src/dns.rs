//! One question to the cluster's DNS, asked from a node: whether names, services and pods work.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::layout::DNS_ADDRESS;

/// Asks for an address of `name` (without the last dot).
///
/// # Errors
/// If nobody answers within a second or there is no such name.
pub fn resolve(name: &str) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.connect((DNS_ADDRESS, 53))?;
    socket.send(&question(name))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).with_context(|| format!("The DNS does not answer at {DNS_ADDRESS}"))?;
    ensure!(has_address(&answer[..length]), "The DNS knows no address of {name}.");
    Ok(())
}

/// RFC 1035: a question of class IN, type A, recursion desired.
fn question(name: &str) -> Vec<u8> {
    let mut packet = vec![0xbe, 0xd0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

/// No error in the header and at least one answer.
fn has_address(answer: &[u8]) -> bool {
    answer.len() > 12 && answer[3] & 0x0f == 0 && (answer[6], answer[7]) != (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_those_of_the_rfc() {
        let packet = question("a.bc");
        assert_eq!(&packet[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
        assert!(!has_address(&packet));
        let mut answer = packet;
        answer[7] = 1;
        assert!(has_address(&answer));
        answer[3] = 0x83;
        assert!(!has_address(&answer));
    }
}
