//! The right a request needs, as a role would grant it.

use super::Request;

/// A verb on a resource, in a namespace or in the whole API server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `""`: the core group.
    pub group: String,
    /// With the sub-resource: `pods/exec`.
    pub resource: String,
    pub verb: &'static str,
    pub namespaced: bool,
}

impl Right {
    /// `None`: discovery and the like, which everybody may ask.
    pub fn of(request: &Request) -> Option<Self> {
        let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, parts) = match parts.as_slice() {
            ["api", _, rest @ ..] if !rest.is_empty() => ("", rest),
            ["apis", group, _, rest @ ..] if !rest.is_empty() => (*group, rest),
            _ => return None,
        };
        let (namespaced, parts) = match parts {
            ["namespaces", _, rest @ ..] if !rest.is_empty() => (true, rest),
            rest => (false, rest),
        };
        let (resource, named) = match parts {
            [resource] => ((*resource).to_owned(), false),
            [resource, _] => ((*resource).to_owned(), true),
            [resource, _, part] => (format!("{resource}/{part}"), true),
            _ => return None,
        };
        let watches = request.query("watch").is_some_and(|value| value != "false" && value != "0");
        let verb = match request.method.as_str() {
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if named => "delete",
            "DELETE" => "deletecollection",
            _ if watches => "watch",
            _ if named => "get",
            _ => "list",
        };
        Some(Self { group: group.to_owned(), resource, verb, namespaced })
    }

    /// As the API server and this program name it: `list statefulsets.apps`.
    pub fn name(&self) -> String {
        let Self { verb, resource, group, .. } = self;
        if group.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {resource}.{group}") }
    }
}
