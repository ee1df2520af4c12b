//! A contract: steps, and what `status` shows after each. The model world and real servers both have to keep it.
//!
//! A step is a line at the margin, the lines of its state are indented. Only what is the same in every run is part of a state:
//! no time, address, UUID or number of a transaction.

use serde_json::Value;

/// A step and the state that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub action: String,
    pub state: Vec<String>,
}

/// Steps of a contract.
pub fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match (line.strip_prefix("  "), steps.last_mut()) {
            (Some(state), Some(step)) => step.state.push(state.to_owned()),
            _ => steps.push(Step { action: line.to_owned(), state: Vec::new() }),
        }
    }
    steps
}

/// The text that [`parse`] reads.
pub fn render(steps: &[Step]) -> String {
    let step = |step: &Step| {
        let state: String = step.state.iter().map(|line| format!("  {line}\n")).collect();
        format!("{}\n{state}", step.action)
    };
    steps.iter().map(step).collect::<Vec<_>>().join("\n")
}

/// The state that a document of `status -o json` shows.
pub fn reduce(document: &Value) -> Vec<String> {
    let worrying = list(&document["findings"]).filter(|finding| finding["severity"] != "info");
    let mut codes: Vec<&str> = worrying.map(|finding| word(&finding["code"])).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut lines = vec![[&[word(&document["state"])], &codes[..]].concat().join(" ")];
    lines.extend(list(&document["pods"]).map(|pod| pod_line(document, pod)));
    lines.extend(list(&document["galera"]["components"]).map(component_line));
    lines
}

fn pod_line(document: &Value, pod: &Value) -> String {
    let mut line = vec![word(&pod["name"]).to_owned()];
    if pod["exists"] == false {
        line.push("gone".to_owned());
        return line.join(" ");
    }
    line.extend([word(&pod["role"]).to_owned(), word(&pod["state"]).to_owned(), fact("ready", &pod["ready"])]);
    let server = &pod["server"];
    if server["galera"].is_object() {
        line.extend(member(document, &server["galera"]));
    } else if server.is_object() {
        line.extend(gtid_server(document, pod));
    }
    if let grastate @ Value::Object(_) = &pod["files"]["grastate"] {
        line.extend([fact("grastate", &grastate["seqno"]), fact("safe", &grastate["safeToBootstrap"])]);
    }
    line.join(" ")
}

/// What a member of Galera says of itself; its position among those of the same history.
fn member(document: &Value, galera: &Value) -> Vec<String> {
    let seqno = |galera: &Value| word(&galera["seqno"]).parse::<i64>().ok();
    let all = list(&document["pods"]).map(|pod| &pod["server"]["galera"]);
    let highest = all.filter(|other| other["stateUuid"] == galera["stateUuid"]).filter_map(seqno).max();
    let position = if seqno(galera) == highest { "highest" } else { "lower" };
    vec![word(&galera["clusterStatus"]).to_owned(), fact("size", &galera["clusterSize"]), format!("seqno={position}")]
}

/// What a server of a replication set says of itself; its position against the primary's.
fn gtid_server(document: &Value, pod: &Value) -> Vec<String> {
    let primary = list(&document["pods"]).find(|other| other["name"] == document["replication"]["primary"]);
    let primary = primary.map(|primary| &primary["server"]["gtid"]["binlogPos"]);
    let server = &pod["server"];
    let mut line = vec![
        fact("read_only", &server["readOnly"]),
        format!("replicas={}", server["replicasConnected"]),
        format!("gtid={}", against(&server["gtid"]["binlogPos"], primary)),
    ];
    for channel in list(&server["channels"]) {
        line.extend([
            fact("source", &channel["sourcePod"]),
            fact("io", &channel["ioThread"]),
            fact("sql", &channel["sqlThreadRunning"]),
            fact("lag", &channel["lagSeconds"]),
            format!("received={}", against(&channel["gtidIoPos"], primary)),
        ]);
    }
    let replica = list(&document["replication"]["replicas"]).find(|replica| replica["pod"] == pod["name"]);
    if let Some(replica) = replica {
        line.push(format!("errant={}", list(&replica["errant"]).count()));
    }
    line
}

fn component_line(component: &Value) -> String {
    let kind = if component["primary"] == true { "primary" } else { "non-primary" };
    let mut line = vec![kind.to_owned(), "component:".to_owned()];
    line.extend(list(&component["members"]).map(|member| word(member).to_owned()));
    line.extend(list(&component["others"]).map(|other| format!("{}={}", word(&other["kind"]), word(&other["name"]))));
    line.join(" ")
}

/// One position against another, by the sequence of the only domain these servers write.
fn against(position: &Value, other: Option<&Value>) -> &'static str {
    let sequence = |position: &Value| word(position).rsplit('-').next()?.parse::<u64>().ok();
    match (sequence(position), other.and_then(sequence)) {
        (Some(own), Some(other)) if own > other => "ahead",
        (Some(own), Some(other)) if own < other => "behind",
        (Some(_), Some(_)) => "level",
        _ => "unknown",
    }
}

fn fact(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{name}={text}"),
        Value::Null => format!("{name}=none"),
        other => format!("{name}={other}"),
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("none")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
