//! Keys, certificates and kubeconfigs of a bed: one authority, P-256, nothing that leaves the machine.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use crate::layout::{API_ADDRESS, API_PORT, API_SERVICE, Layout, NodeLayout};

/// Whose certificate it is: user name, group, and the names it serves under.
struct Subject {
    name: String,
    group: Option<&'static str>,
    dns: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Subject {
    fn client(name: &str, group: Option<&'static str>) -> Self {
        Self { name: name.to_owned(), group, dns: Vec::new(), addresses: Vec::new() }
    }
}

/// Clients of the API server: file name, user, group. Kubernetes' own roles are bound to these names.
const CLIENTS: [(&str, &str, Option<&str>); 5] = [
    ("admin", "admin", Some("system:masters")),
    ("kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters")),
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
];

/// Makes what is missing of the bed's keys and certificates.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn make(bed: &Layout) -> Result<()> {
    let pki = bed.pki();
    fs::create_dir_all(&pki)?;
    let authority = authority(&pki)?;
    for (file, user, group) in CLIENTS {
        issue(&pki, file, &Subject::client(user, group), &authority)?;
    }
    let of_service =
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"];
    let api_server = Subject {
        dns: of_service.map(String::from).to_vec(),
        addresses: vec![IpAddr::from([127, 0, 0, 1]), API_SERVICE.into(), API_ADDRESS.into()],
        ..Subject::client("kube-apiserver", None)
    };
    issue(&pki, "apiserver", &api_server, &authority)?;
    if !pki.join("service-accounts.pub").exists() {
        let key = KeyPair::generate()?;
        write(&pki.join("service-accounts.key"), &key.serialize_pem())?;
        write(&pki.join("service-accounts.pub"), &key.public_key_pem())?;
    }
    let admin = pki.join("admin.conf");
    fs::copy(&admin, kubeconfig(bed)).with_context(|| format!("{} cannot be copied", admin.display()))?;
    Ok(())
}

/// Makes what is missing of a node's keys and certificates: one pair for both the kubelet's client
/// and its server side, so nobody has to approve a request.
///
/// # Errors
/// If a file cannot be read or written.
pub(crate) fn make_node(node: &NodeLayout) -> Result<()> {
    let pki = node.bed.pki();
    let subject = Subject {
        dns: vec![node.name()],
        addresses: vec![node.address().into()],
        ..Subject::client(&format!("system:node:{}", node.name()), Some("system:nodes"))
    };
    issue(&pki, &node_file(node), &subject, &authority(&pki)?)
}

/// Stem of a node's key, certificate and kubeconfig in [`Layout::pki`].
pub(crate) fn node_file(node: &NodeLayout) -> String {
    format!("node-{}", node.name())
}

/// The administrator's kubeconfig.
pub(crate) fn kubeconfig(bed: &Layout) -> PathBuf {
    bed.root().join("kubeconfig")
}

fn authority(pki: &Path) -> Result<Issuer<'static, KeyPair>> {
    let (key_file, certificate_file) = (pki.join("ca.key"), pki.join("ca.crt"));
    if certificate_file.exists() {
        let key = KeyPair::from_pem(&fs::read_to_string(&key_file)?)?;
        let certificate = fs::read_to_string(&certificate_file)?;
        return Ok(Issuer::from_ca_cert_pem(&certificate, key)?);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = named("bed-ca", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let made = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    write(&key_file, &made.key().serialize_pem())?;
    write(&certificate_file, &made.pem())?;
    authority(pki)
}

/// Writes `<file>.key`, `<file>.crt` and the kubeconfig `<file>.conf` that uses them.
fn issue(pki: &Path, file: &str, subject: &Subject, authority: &Issuer<'_, KeyPair>) -> Result<()> {
    let place = |extension: &str| pki.join(format!("{file}.{extension}"));
    if place("conf").exists() {
        return Ok(());
    }
    let mut params = CertificateParams::new(subject.dns.clone())?;
    params.distinguished_name = named(&subject.name, subject.group);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let addresses = subject.addresses.iter().copied().map(SanType::IpAddress);
    params.subject_alt_names.extend(addresses);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    write(&place("key"), &key.serialize_pem())?;
    write(&place("crt"), &certificate.pem())?;
    write(&place("conf"), &client_configuration(&pki.join("ca.crt"), &certificate.pem(), &key.serialize_pem())?)
}

fn client_configuration(authority: &Path, certificate: &str, key: &str) -> Result<String> {
    let authority = fs::read_to_string(authority)?;
    let configuration = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bed",
        "clusters": [{"name": "bed", "cluster": {
            "server": format!("https://{API_ADDRESS}:{API_PORT}"),
            "certificate-authority-data": base64(authority.as_bytes()),
        }}],
        "users": [{"name": "bed", "user": {
            "client-certificate-data": base64(certificate.as_bytes()),
            "client-key-data": base64(key.as_bytes()),
        }}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "bed"}}],
    });
    // JSON is YAML.
    Ok(serde_json::to_string_pretty(&configuration)? + "\n")
}

fn named(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    if let Some(group) = group {
        all.push(DnType::OrganizationName, group);
    }
    all.push(DnType::CommonName, name);
    all
}

fn write(path: &Path, content: &str) -> Result<()> {
    let open = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(content.as_bytes())).with_context(|| format!("{} cannot be written", path.display()))
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(DIGITS[(word >> (18 - 6 * place) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn certificates_are_made_once_and_by_the_same_authority() {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path();
        let subject = Subject::client("admin", Some("system:masters"));
        issue(pki, "admin", &subject, &authority(pki).unwrap()).unwrap();
        let first = fs::read(pki.join("admin.crt")).unwrap();
        issue(pki, "admin", &subject, &authority(pki).unwrap()).unwrap();
        assert_eq!(first, fs::read(pki.join("admin.crt")).unwrap());
        let configuration = fs::read(pki.join("admin.conf")).unwrap();
        let configuration: serde_json::Value = serde_json::from_slice(&configuration).unwrap();
        assert_eq!(configuration["clusters"][0]["cluster"]["server"], "https://10.77.0.1:6443");
    }
}
