//! The bill of materials: which crates are in the program, from what cargo resolved for its platform. CycloneDX 1.5.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::platform::Platform;
use crate::{PROGRAM, VERSION, workspace};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None`: it is linked; else `dev` or `build`.
    kind: Option<String>,
}

/// The bill of `platform`, as JSON.
///
/// # Errors
/// cargo cannot tell.
pub fn of(platform: Platform) -> Result<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(["metadata", "--format-version=1", "--locked", "--filter-platform", platform.target]);
    let said = cargo.output().context("cargo cannot be started")?;
    ensure!(said.status.success(), "`cargo metadata` failed: {}", String::from_utf8_lossy(&said.stderr));
    let metadata: Metadata = serde_json::from_slice(&said.stdout)?;
    let bill = serde_json::to_string_pretty(&bill(&metadata).context("cargo does not know its own package")?)?;
    Ok(bill + "\n")
}

fn bill(metadata: &Metadata) -> Option<Value> {
    let root = &metadata.packages.iter().find(|package| package.name == PROGRAM)?.id;
    let linked = linked(metadata, root);
    let packages: BTreeMap<&str, &Package> = metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let components: Vec<Value> =
        linked.keys().filter(|id| *id != root).filter_map(|id| packages.get(id)).map(|package| component(package)).collect();
    let reference = |id: &&str| packages.get(id).map(|package| purl(package));
    let dependencies: Vec<Value> = linked
        .iter()
        .map(|(id, deps)| json!({ "ref": reference(id), "dependsOn": deps.iter().filter_map(reference).collect::<Vec<_>>() }))
        .collect();
    let program = json!({
        "type": "application", "bom-ref": format!("pkg:cargo/{PROGRAM}@{VERSION}"), "name": PROGRAM, "version": VERSION,
        "licenses": [{ "expression": "Apache-2.0" }],
    });
    Some(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": program }, "components": components, "dependencies": dependencies,
    }))
}

/// Every crate that is linked, with those it links.
fn linked<'a>(metadata: &'a Metadata, root: &'a str) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut found = BTreeMap::new();
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        if found.contains_key(id) {
            continue;
        }
        let is_linked = |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        let deps: BTreeSet<&str> = nodes
            .get(id)
            .into_iter()
            .flat_map(|node| &node.deps)
            .filter(is_linked)
            .map(|dependency| dependency.pkg.as_str())
            .collect();
        left.extend(&deps);
        found.insert(id, deps);
    }
    found
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": purl(package), "purl": purl(package), "name": package.name, "version": package.version,
    });
    if let Some(license) = &package.license {
        // Until 2018 crates.io took `/` for OR.
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    component
}

fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::ALL;

    #[test]
    fn what_is_linked_is_listed_and_what_only_tests_need_is_not() {
        let bill: Value = serde_json::from_str(&of(ALL[0]).unwrap()).unwrap();
        let names: BTreeSet<&str> =
            bill["components"].as_array().unwrap().iter().map(|component| component["name"].as_str().unwrap()).collect();
        for linked in ["clap", "kube", "ring", "rustls", "tokio"] {
            assert!(names.contains(linked), "{linked} is missing");
        }
        for other in ["insta", "proptest", "jsonschema", "bed", PROGRAM] {
            assert!(!names.contains(other), "{other} is not in the program");
        }
        let references: BTreeSet<&str> =
            bill["components"].as_array().unwrap().iter().map(|component| component["bom-ref"].as_str().unwrap()).collect();
        for dependency in bill["dependencies"].as_array().unwrap() {
            for on in dependency["dependsOn"].as_array().unwrap() {
                assert!(references.contains(on.as_str().unwrap()), "{on} is no component");
            }
        }
    }
}
