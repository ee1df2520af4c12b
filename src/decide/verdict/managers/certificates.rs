//! Certificates of the servers, by the operator's object and by the files in the containers.

use jiff::Timestamp;

use crate::decide::finding::Finding;
use crate::decide::rules::managers as rule;
use crate::decide::verdict::Scene;
use crate::decide::verdict::kubernetes::before;

use super::Eye;

/// Seconds before the end of a certificate from which it should have been renewed.
const RENEWAL: i64 = 14 * 86_400;

/// That of the operator's object.
pub(super) fn of_operator(eye: &Eye) -> Option<Finding> {
    let end = eye.view.status.server_certificate_ends?;
    let finding = ending(eye.scene, end, RENEWAL, "the servers' certificate")?;
    Some(finding.seen(format!("status.tls.serverCert.notAfter of {}", eye.object()), end).kubectl(&eye.describe()))
}

/// Those that the servers were told to use, whoever made them.
pub(super) fn of_servers(scene: &Scene) -> Vec<Finding> {
    let mut found = Vec::new();
    for (ordinal, pod) in scene.pods() {
        let Some(certificate) = scene.files(ordinal).and_then(|files| files.certificate.as_ref()) else { continue };
        // One that is made for days is renewed in days.
        let life = certificate.ends.duration_since(certificate.starts).as_secs();
        let finding = ending(scene, certificate.ends, RENEWAL.min(life / 3), &format!("the certificate of {}", pod.name));
        found.extend(finding.map(|finding| {
            let file = format!("notAfter of {} in {}", certificate.path, pod.name);
            finding.seen(file, certificate.ends).kubectl(&format!("describe pod {}", pod.name)).about([&pod.name])
        }));
    }
    found
}

/// A certificate that ends in less than so many seconds, or has ended.
fn ending(scene: &Scene, end: Timestamp, near: i64, whose: &str) -> Option<Finding> {
    let taken = scene.seen.taken;
    match end.duration_since(taken).as_secs() {
        ..=0 => Some(Finding::new(&rule::CERTIFICATE_ENDED, format!("{whose} ended {} ago", before(taken, end)))),
        left if left < near => Some(Finding::new(&rule::CERTIFICATE_ENDS, format!("{whose} ends in {} days", left / 86_400))),
        _ => None,
    }
}
