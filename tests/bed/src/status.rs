//! What runs of a bed, for people.

use std::fmt;

use crate::bed::Bed;
use crate::command::output;
use crate::control_plane::Part;
use crate::network;
use crate::node::NodeService;
use crate::process::Process;

/// What runs of a bed.
#[derive(Debug)]
pub struct Status {
    name: String,
    network: bool,
    api_only: bool,
    processes: Vec<(String, Option<Process>)>,
    /// What the API server says about the nodes, or why it says nothing.
    nodes: Option<Result<String, String>>,
}

impl Status {
    pub(crate) fn of(bed: &Bed) -> Self {
        let network = network::exists(&bed.layout().network());
        let api_only = bed.shape().is_some_and(|shape| shape.api_only);
        let mut processes = Vec::new();
        let parts = if api_only { &Part::ALL[..2] } else { &Part::ALL[..] };
        for part in parts {
            let process = bed.part(*part).service().process();
            processes.push((part.name().to_owned(), process));
        }
        for node in bed.nodes() {
            processes.push((node.name(), node.init()));
            for service in NodeService::ALL {
                let name = format!("{} {}", node.name(), service.name());
                processes.push((name, node.service(service).process()));
            }
        }
        let nodes = (network && !api_only).then(|| {
            let table = ["get", "nodes", "--output=wide", "--request-timeout=5s"];
            output(&mut bed.kubectl(&table)).map_err(|cause| cause.to_string())
        });
        Self { name: bed.layout().name().to_owned(), network, api_only, processes, nodes }
    }

    /// Whether everything that should run does.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.network && self.processes.iter().all(|(_, process)| process.is_some())
    }

    /// Whether anything of the bed is there.
    #[must_use]
    pub fn anything(&self) -> bool {
        self.network || self.processes.iter().any(|(_, process)| process.is_some())
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.anything(), self.complete(), self.api_only) {
            (false, ..) => "down",
            (_, false, _) => "half up; `cargo bed up` repairs it",
            (_, _, true) => "up (API server only)",
            _ => "up",
        };
        writeln!(f, "bed {}: {state}", self.name)?;
        if !self.anything() {
            return Ok(());
        }
        for (name, process) in &self.processes {
            match process {
                None => writeln!(f, "  {name:26} down")?,
                Some(process) => {
                    let mib = process.resident().unwrap_or_default() >> 10;
                    writeln!(f, "  {name:26} pid {:<8} {mib:>5} MiB", process.pid)?;
                }
            }
        }
        match &self.nodes {
            Some(Ok(table) | Err(table)) => write!(f, "{table}"),
            None => Ok(()),
        }
    }
}
