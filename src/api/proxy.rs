//! Which proxy, if any, stands before the API server: the rules of kubectl (Go's `http.ProxyFromEnvironment`).
//!
//! kube 5.0.0 compares `NO_PROXY` with the proxy instead of the server, so it is never asked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use http::Uri;

use crate::failure::{Failure, Kind};

/// The proxy for `server`: the cluster's `proxy-url`, else the environment's.
///
/// # Errors
/// The proxy's address is no URL, or of a scheme that is not supported.
pub(super) fn choose(server: &Uri, configured: Option<&str>, env: &BTreeMap<String, String>) -> Result<Option<Uri>, Failure> {
    if let Some(text) = configured.filter(|text| !text.is_empty()) {
        // A proxy named for this very cluster is always used.
        return parse("proxy-url of the cluster in the kubeconfig", text).map(Some);
    }
    let names = if server.scheme_str() == Some("http") { ["HTTP_PROXY", "http_proxy"] } else { ["HTTPS_PROXY", "https_proxy"] };
    let Some((name, text)) = first_set(env, &names) else { return Ok(None) };
    let excluded = first_set(env, &["NO_PROXY", "no_proxy"]).map_or("", |(_, list)| list);
    if is_excluded(server, excluded) { Ok(None) } else { parse(name, text).map(Some) }
}

fn first_set<'a>(env: &'a BTreeMap<String, String>, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
    names.iter().find_map(|name| env.get(*name).filter(|value| !value.is_empty()).map(|value| (*name, value.as_str())))
}

fn parse(source: &str, text: &str) -> Result<Uri, Failure> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // Both resolve names at the proxy.
    let with_scheme = with_scheme.replacen("socks5h://", "socks5://", 1);
    let shown = without_password(text);
    let uri: Uri = with_scheme
        .parse()
        .map_err(|problem| Failure::new(Kind::Usage, format!("the proxy {shown:?} ({source}) is no URL: {problem}")))?;
    if matches!(uri.scheme_str(), Some("http" | "https" | "socks5")) && uri.host().is_some() {
        return Ok(uri);
    }
    Err(Failure::new(Kind::Usage, format!("the proxy {shown:?} ({source}) is of a kind that is not supported"))
        .hint("use a proxy whose URL begins with http://, https:// or socks5://"))
}

fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}…{}", &text[..scheme + 3], &text[at..]),
        (None, Some(at)) => format!("…{}", &text[at..]),
        _ => text.to_owned(),
    }
}

/// Whether the list says to go straight to `server`. Loopback addresses are never proxied.
fn is_excluded(server: &Uri, list: &str) -> bool {
    let host =
        server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_lowercase();
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    list.split(',').map(|item| item.trim().to_lowercase()).filter(|item| !item.is_empty()).any(|item| match address {
        _ if item == "*" => true,
        Some(address) => address_matches(address, port, &item),
        None => name_matches(&host, port, &item),
    })
}

fn address_matches(address: IpAddr, port: u16, item: &str) -> bool {
    if let Some((network, bits)) = item.split_once('/') {
        return match (network.parse(), bits.parse()) {
            (Ok(network), Ok(bits)) => in_network(address, network, bits),
            _ => false,
        };
    }
    let (item, item_port) = split_port(item);
    item_port.is_none_or(|item_port| item_port == port)
        && item.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok_and(|item| item == address)
}

fn in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (a, n, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (bits == 0 || (a ^ n) >> (width - bits) == 0)
}

/// `example.com` is the name and all below it; `.example.com` and `*.example.com` only what is below.
fn name_matches(host: &str, port: u16, item: &str) -> bool {
    let (item, item_port) = split_port(item);
    if item_port.is_some_and(|item_port| item_port != port) {
        return false;
    }
    let item = item.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(item);
    match item.strip_prefix('.') {
        Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => host == item || host.strip_suffix(item).is_some_and(|rest| rest.ends_with('.')),
    }
}

fn split_port(item: &str) -> (&str, Option<u16>) {
    match item.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (item, None),
        },
        _ => (item, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn no_proxy_is_matched_with_the_server() {
        for (server, list, excluded) in [
            ("https://api.example.com:6443", "", false),
            ("https://api.example.com:6443", "*", true),
            ("https://api.example.com:6443", "example.com", true),
            ("https://api.example.com:6443", ".example.com", true),
            ("https://api.example.com:6443", "*.example.com", true),
            ("https://api.example.com:6443", "ample.com", false),
            ("https://example.com", ".example.com", false),
            ("https://example.com", "example.com", true),
            ("https://API.example.com", "api.EXAMPLE.com", true),
            ("https://api.example.com:6443", "example.com:6443", true),
            ("https://api.example.com:6443", "example.com:443", false),
            ("https://example.com", "example.com:443", true),
            ("https://10.1.2.3:6443", "10.0.0.0/8", true),
            ("https://11.1.2.3:6443", "10.0.0.0/8", false),
            ("https://10.1.2.3:6443", "10.1.2.3", true),
            ("https://10.1.2.3:6443", "10.1.2.3:443", false),
            ("https://[fd00::5]:6443", "fd00::/8", true),
            ("https://[fd00::5]:6443", "fd00::5", true),
            // Empty items and a trailing comma are nothing, not an error.
            ("https://10.1.2.3:6443", " ,localhost, 10.1.2.3 ,,", true),
            ("https://10.1.2.3:6443", "nonsense/99,10.1.2.3/99", false),
            ("https://127.0.0.1:6443", "", true),
            ("https://localhost:6443", "", true),
        ] {
            assert_eq!(is_excluded(&server.parse().unwrap(), list), excluded, "{server} {list:?}");
        }
    }

    #[test]
    fn the_clusters_own_proxy_wins_then_the_environment_by_scheme() {
        let https: Uri = "https://k8s.example.com".parse().unwrap();
        let http: Uri = "http://k8s.example.com".parse().unwrap();
        let both = env(&[("HTTPS_PROXY", "http://a:1"), ("http_proxy", "b:2"), ("NO_PROXY", "other.com,")]);
        let chosen = |server: &Uri, own, env: &BTreeMap<String, String>| {
            choose(server, own, env).map(|proxy| proxy.map(|proxy| proxy.to_string()))
        };
        assert_eq!(chosen(&https, None, &both), Ok(Some("http://a:1/".into())));
        assert_eq!(chosen(&http, None, &both), Ok(Some("http://b:2/".into())));
        assert_eq!(chosen(&https, None, &env(&[])), Ok(None));
        let off = env(&[("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", "*")]);
        assert_eq!(chosen(&https, None, &off), Ok(None));
        assert_eq!(chosen(&https, Some("socks5h://c:3"), &off), Ok(Some("socks5://c:3/".into())));
        let refused = chosen(&https, Some("ftp://user:secret@d"), &off).unwrap_err();
        assert_eq!(refused.kind, Kind::Usage);
        assert!(!refused.message.contains("secret"), "{refused}");
    }
}
