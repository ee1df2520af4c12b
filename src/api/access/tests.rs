use serde_json::json;

use super::*;

/// Resolves with this kubeconfig and these flags, outside of any pod.
fn resolved(kubeconfig: &serde_json::Value, flags: ConnectionFlags) -> Result<Access, Failure> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let flags = ConnectionFlags { kubeconfig: Some(path), ..flags };
    resolve(&flags, &BTreeMap::new(), None, Path::new("/nowhere"))
}

fn flags() -> ConnectionFlags {
    ConnectionFlags::default()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Two contexts; `one` is current.
fn two() -> serde_json::Value {
    json!({
        "current-context": "one",
        "clusters": [
            { "name": "a", "cluster": { "server": "https://a", "certificate-authority": "ca.crt", "tls-server-name": "inner" } },
            { "name": "b", "cluster": { "server": "https://b", "insecure-skip-tls-verify": true } },
        ],
        "users": [
            { "name": "basic", "user": { "username": "u", "password": "p", "client-certificate": "c", "client-key": "k" } },
            { "name": "plugin", "user": { "exec": { "command": "login" }, "as": "root", "as-groups": ["g"] } },
        ],
        "contexts": [
            { "name": "one", "context": { "cluster": "a", "user": "basic", "namespace": "shop" } },
            { "name": "two", "context": { "cluster": "b", "user": "plugin" } },
        ],
    })
}

#[test]
fn the_current_context_or_the_named_one_is_used() {
    let access = resolved(&two(), flags()).unwrap();
    assert_eq!((access.cluster.server.as_deref(), access.namespace.as_str()), (Some("https://a"), "shop"));
    assert!(access.cluster.certificate_authority.unwrap().ends_with("/ca.crt"), "relative to its file");
    let access = resolved(&two(), ConnectionFlags { context: some("two"), ..flags() }).unwrap();
    assert_eq!((access.cluster.server.as_deref(), access.namespace.as_str()), (Some("https://b"), "default"));
    assert_eq!(access.user.impersonate.as_deref(), Some("root"));
}

#[test]
fn each_flag_replaces_its_part() {
    let mixed = ConnectionFlags { cluster: some("b"), user: some("plugin"), namespace: some("n"), ..flags() };
    let access = resolved(&two(), mixed).unwrap();
    assert_eq!((access.cluster.server.as_deref(), access.namespace.as_str()), (Some("https://b"), "n"));
    assert!(access.user.exec.is_some());

    let access = resolved(&two(), ConnectionFlags { server: some("https://c"), ..flags() }).unwrap();
    assert_eq!(access.cluster.server.as_deref(), Some("https://c"));
    assert_eq!(access.cluster.tls_server_name, None, "the name belongs to the other address");

    let access = resolved(&two(), ConnectionFlags { insecure_skip_tls_verify: Some(true), ..flags() }).unwrap();
    assert_eq!((access.cluster.insecure_skip_tls_verify, access.cluster.certificate_authority), (Some(true), None));
    let checked = ConnectionFlags { context: some("two"), insecure_skip_tls_verify: Some(false), ..flags() };
    assert_eq!(resolved(&two(), checked).unwrap().cluster.insecure_skip_tls_verify, Some(false));
}

#[test]
fn credentials_on_the_command_line_replace_the_users() {
    let access = resolved(&two(), ConnectionFlags { token: some("t"), ..flags() }).unwrap();
    assert!(access.user.token.is_some());
    assert!(access.user.username.is_none() && access.user.password.is_none() && access.user.client_certificate.is_none());
    let access = resolved(&two(), ConnectionFlags { token: some("t"), context: some("two"), ..flags() }).unwrap();
    assert!(access.user.exec.is_none());
    assert_eq!(access.user.impersonate.as_deref(), Some("root"), "whom to act as is no credential");
    let half = resolved(&two(), ConnectionFlags { client_key: Some("k".into()), ..flags() }).unwrap_err();
    assert_eq!(half.kind, Kind::Usage);
}

#[test]
fn a_group_to_act_as_needs_a_user() {
    for lonely in [ConnectionFlags { as_groups: vec!["g".into()], ..flags() }, ConnectionFlags { as_uid: some("7"), ..flags() }] {
        let failure = resolved(&two(), lonely.clone()).unwrap_err();
        assert_eq!((failure.kind, failure.hint.as_deref()), (Kind::Usage, Some("add --as USER")));
        let with_user = ConnectionFlags { as_user: some("eve"), ..lonely.clone() };
        assert_eq!(resolved(&two(), with_user).unwrap().user.impersonate.as_deref(), Some("eve"));
        // The kubeconfig may name the user, too.
        assert!(resolved(&two(), ConnectionFlags { context: some("two"), ..lonely }).is_ok());
    }
}

#[test]
fn what_is_missing_is_named_with_what_there_is() {
    for (flags, message, hint) in [
        (ConnectionFlags { context: some("x"), ..flags() }, "the kubeconfig has no context \"x\"", "it has: one, two"),
        (ConnectionFlags { cluster: some("x"), ..flags() }, "the kubeconfig has no cluster \"x\"", "it has: a, b"),
        (ConnectionFlags { user: some("x"), ..flags() }, "the kubeconfig has no user \"x\"", "it has: basic, plugin"),
    ] {
        let failure = resolved(&two(), flags).unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str(), failure.hint.as_deref()), (Kind::Usage, message, Some(hint)));
    }
    let mut without = two();
    without["current-context"] = "".into();
    let failure = resolved(&without, flags()).unwrap_err();
    assert_eq!(failure.hint.as_deref(), Some("give --context: one, two"));
}

#[test]
fn without_any_kubeconfig_an_address_is_enough_and_nothing_is_not() {
    let empty = json!({});
    let access = resolved(&empty, ConnectionFlags { server: some("https://c"), ..flags() }).unwrap();
    assert_eq!(access.namespace, "default");
    assert_eq!(resolved(&empty, flags()).unwrap_err().kind, Kind::Usage);
    let missing = ConnectionFlags { kubeconfig: Some("/does/not/exist".into()), ..flags() };
    let failure = resolve(&missing, &BTreeMap::new(), None, Path::new("/nowhere")).unwrap_err();
    assert_eq!(failure.message, "the kubeconfig /does/not/exist does not exist");
}

#[test]
fn a_broken_file_is_named_and_its_content_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    std::fs::write(&path, "users:\n- name: u\n  user: [token: verysecret]\n  - x").unwrap();
    let flags = ConnectionFlags { kubeconfig: Some(path.clone()), ..flags() };
    let failure = resolve(&flags, &BTreeMap::new(), None, Path::new("/nowhere")).unwrap_err();
    assert!(failure.message.starts_with(&format!("the kubeconfig {} is not valid: ", path.display())), "{failure}");
    assert!(!failure.message.contains("verysecret"), "{failure}");
}

#[test]
fn the_first_file_of_a_list_that_says_something_wins() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, value: serde_json::Value| {
        std::fs::write(dir.path().join(name), value.to_string()).unwrap();
        dir.path().join(name)
    };
    let first =
        write("first", json!({ "current-context": "", "clusters": [{ "name": "a", "cluster": { "server": "https://first" } }] }));
    let second = write("second", two());
    let list = std::env::join_paths([first, dir.path().join("missing"), second]).unwrap().into_string().unwrap();
    let access = resolve(&flags(), &BTreeMap::from([("KUBECONFIG".to_owned(), list)]), None, Path::new("/nowhere")).unwrap();
    assert_eq!((access.cluster.server.as_deref(), access.namespace.as_str()), (Some("https://first"), "shop"));
}

#[test]
fn in_a_pod_the_service_account_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let env = BTreeMap::from(
        [("KUBERNETES_SERVICE_HOST", "fd00::1"), ("KUBERNETES_SERVICE_PORT", "443")].map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    assert!(resolve(&flags(), &env, None, dir.path()).is_err(), "no token is mounted");
    std::fs::write(dir.path().join("token"), "t").unwrap();
    std::fs::write(dir.path().join("namespace"), "here\n").unwrap();
    let access = resolve(&flags(), &env, None, dir.path()).unwrap();
    assert_eq!((access.cluster.server.as_deref(), access.namespace.as_str()), (Some("https://[fd00::1]:443"), "here"));
    assert!(access.user.token_file.unwrap().ends_with("/token"));
    assert!(resolve(&flags(), &BTreeMap::new(), None, dir.path()).is_err(), "not a pod");
}
