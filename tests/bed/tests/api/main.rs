//! A real API server without nodes: what takes seconds. `cargo bed test` runs this in a bed of its own.
//!
//! Arguments are those of any Rust test.

mod fleet;
mod plugin;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use bed::Bed;
use bed::command::{output, output_of_input};
use libtest_mimic::{Arguments, Trial};
use serde_json::json;

type Test = fn(&Bed) -> Result<()>;

fn main() -> ExitCode {
    let bed = match std::env::var("BED").context("BED names no bed; use `cargo bed test`").and_then(|name| Bed::open(&name)) {
        Ok(bed) => bed,
        Err(why) => {
            eprintln!("{why:#}");
            return ExitCode::FAILURE;
        }
    };
    let all = [
        ("pods_need_no_service_account", pods_need_no_service_account as Test),
        ("the_audit_log_tells_requests", the_audit_log_tells_requests),
        ("plugin_is_installed_by_krew_and_completed_by_kubectl", plugin::is_installed_by_krew_and_completed_by_kubectl),
        ("a_fleet_costs_no_more_requests_than_a_few", fleet::costs_no_more_requests_than_a_few),
    ];
    let trial = |(name, test): (&str, Test)| {
        let bed = bed.clone();
        Trial::test(name, move || test(&bed).map_err(|why| format!("{why:#}").into()))
    };
    libtest_mimic::run(&Arguments::from_args(), all.into_iter().map(trial).collect()).exit_code()
}

/// No controller makes service accounts here, and tests want pods all the same.
fn pods_need_no_service_account(bed: &Bed) -> Result<()> {
    let container = json!({"name": "c", "image": "bed.local/busybox:1"});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "alone-", "namespace": "default"},
        "spec": {"containers": [container]},
    });
    let name = output_of_input(&mut bed.kubectl(&["create", "--filename=-", "--output=name"]), &pod.to_string())?;
    output(&mut bed.kubectl(&["delete", "--wait=false", &name])).map(drop)
}

/// The tests of the plugin look for secrets in it: it must hold every request, with its arguments, and no body.
fn the_audit_log_tells_requests(bed: &Bed) -> Result<()> {
    let secret = ["create", "secret", "generic", "hidden", "--from-literal=key=never-to-be-seen"];
    output(&mut bed.kubectl(&secret))?;
    let asked = output(&mut bed.kubectl(&["get", "--raw", "/api/v1/namespaces/default/secrets/hidden?asked=to-be-seen"]))?;
    output(&mut bed.kubectl(&["delete", "secret", "hidden"]))?;
    // bmV2ZXI… is the secret in base64.
    ensure!(asked.contains("bmV2ZXItdG8tYmUtc2Vlbg"), "the secret was not kept: {asked}");
    let log = fs::read_to_string(bed.layout().log().join("audit.log"))?;
    ensure!(log.contains("?asked=to-be-seen"), "a request is missing");
    ensure!(!log.contains("never-to-be-seen") && !log.contains("bmV2ZXItdG8tYmUtc2Vlbg"), "a body was written down");
    Ok(())
}
