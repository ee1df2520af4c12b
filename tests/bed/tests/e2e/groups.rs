//! Trials in groups: those of one group share a cluster and run one after the other, groups run beside each other.
//! A group that touches nodes has the bed to itself.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bed::Bed;
use bed::testing::cluster::Cluster;
use bed::testing::faults::Faults;
use bed::testing::keep;
use bed::testing::plugin::Plugin;
use bed::testing::reliability;
use bed::testing::shape::Shape;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::stage::Stage;

/// From nothing to three members, on a machine that is busy with other clusters.
const START: Duration = Duration::from_secs(240);
/// For what the scenario before has broken and healed.
const RECOVERY: Duration = Duration::from_secs(150);

pub struct Group {
    pub shape: Shape,
    /// Faults of nodes or of the API server: no other group runs meanwhile.
    pub alone: bool,
    pub scenarios: Vec<Scenario>,
}

#[derive(Clone)]
pub struct Scenario {
    /// `status::healthy::11.8`.
    pub name: String,
    /// The cluster is not fit for another scenario afterwards.
    pub spoils: bool,
    pub body: fn(&Stage) -> Result<()>,
}

type Outcome = Result<(), Failed>;

/// What is left of the catalogue under the filters; groups without a scenario are gone.
pub fn select(mut catalogue: Vec<Group>, filters: &[String], arguments: &Arguments) -> Vec<Group> {
    for group in &mut catalogue {
        group.scenarios.retain(|scenario| {
            let meets = |filter: &String| {
                if arguments.exact { scenario.name == *filter } else { scenario.name.contains(filter.as_str()) }
            };
            (filters.is_empty() || filters.iter().any(meets)) && !arguments.skip.iter().any(meets)
        });
    }
    catalogue.retain(|group| !group.scenarios.is_empty());
    catalogue
}

/// Prints the names of all trials.
pub fn list(catalogue: Vec<Group>, arguments: &Arguments) -> ExitCode {
    let scenarios = catalogue.into_iter().flat_map(|group| group.scenarios);
    let trials = scenarios.map(|scenario| Trial::test(scenario.name, || Ok(()))).collect();
    libtest_mimic::run(arguments, trials).exit_code()
}

/// Runs all trials with at most `clusters` clusters at once.
pub fn run(bed: &Bed, plugin: &Plugin, catalogue: Vec<Group>, clusters: usize, mut arguments: Arguments) -> ExitCode {
    let (trials, mut queue) = begin(catalogue);
    // Those that need the bed to themselves come last: nobody waits for them.
    queue.make_contiguous().sort_by_key(|work| work.alone);
    let queue = Arc::new(Mutex::new(queue));
    let alone = Arc::new(RwLock::new(()));
    for _ in 0..clusters {
        let (bed, plugin, queue, alone) = (bed.clone(), plugin.clone(), Arc::clone(&queue), Arc::clone(&alone));
        thread::spawn(move || {
            let next = || queue.lock().ok()?.pop_front();
            while let Some(work) = next() {
                if work.alone {
                    let _bed = alone.write();
                    work.run(&bed, &plugin);
                } else {
                    let _bed = alone.read();
                    work.run(&bed, &plugin);
                }
            }
        });
    }
    // Trials only wait for their outcome: none may keep another from waiting.
    arguments.test_threads = Some(trials.len().max(1));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Trials that wait, and the work that makes their outcomes.
fn begin(catalogue: Vec<Group>) -> (Vec<Trial>, VecDeque<Work>) {
    let (mut trials, mut queue) = (Vec::new(), VecDeque::new());
    for group in catalogue {
        let mut scenarios = Vec::new();
        for scenario in group.scenarios {
            let (tell, outcome): (Sender<Outcome>, Receiver<Outcome>) = channel();
            let wait = move || outcome.recv().unwrap_or_else(|_| Err("the runner of this group died".into()));
            trials.push(Trial::test(scenario.name.clone(), wait));
            scenarios.push((scenario, tell));
        }
        queue.push_back(Work { shape: group.shape, alone: group.alone, scenarios });
    }
    (trials, queue)
}

struct Work {
    shape: Shape,
    alone: bool,
    scenarios: Vec<(Scenario, Sender<Outcome>)>,
}

impl Work {
    fn run(self, bed: &Bed, plugin: &Plugin) {
        let mut cluster = None;
        for (scenario, tell) in &self.scenarios {
            let began = Instant::now();
            let outcome = self.trial(bed, plugin, &mut cluster, scenario);
            eprintln!("{:>6.1} s  {}", began.elapsed().as_secs_f32(), scenario.name);
            if let Some(why) = outcome.as_ref().err().and_then(Failed::message) {
                // The summary comes when everything has run, which may be hours later.
                eprintln!("{why}");
            }
            tell.send(outcome).ok();
        }
        end(&mut cluster);
    }

    fn trial(&self, bed: &Bed, plugin: &Plugin, cluster: &mut Option<Cluster>, scenario: &Scenario) -> Outcome {
        let folder = keep::folder(bed, &scenario.name)?;
        reliability::forget(bed.layout().root(), &scenario.name);
        let outcome = self.play(bed, plugin, cluster, scenario, &folder);
        match &outcome {
            Ok(()) => drop(std::fs::remove_dir_all(&folder)),
            Err(_) => keep::keep(bed, cluster.as_ref(), &folder),
        }
        if outcome.is_err() || scenario.spoils {
            end(cluster);
        }
        outcome.map_err(|why| format!("{why:#}\nlogs of its pods and of every component: {}", folder.display()).into())
    }

    fn play(&self, bed: &Bed, plugin: &Plugin, cluster: &mut Option<Cluster>, scenario: &Scenario, folder: &Path) -> Result<()> {
        self.fit(bed, cluster)?;
        let cluster = cluster.clone().context("a cluster was started")?;
        let (trial, root) = (scenario.name.clone(), bed.layout().root().to_owned());
        let (plugin, faults, folder) = (plugin.clone(), Faults::of(bed), folder.to_owned());
        let stage = Stage { trial, root, cluster, plugin, faults, folder };
        catch_unwind(AssertUnwindSafe(|| (scenario.body)(&stage))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Err(anyhow!("{}", text.unwrap_or("the scenario panicked")))
        })
    }

    /// A healthy cluster: the one there is, or a new one.
    fn fit(&self, bed: &Bed, cluster: &mut Option<Cluster>) -> Result<()> {
        if let Some(there) = cluster {
            there.wait_healthy(RECOVERY).context("the cluster did not recover from the scenario before")?;
        } else {
            let new = cluster.insert(Cluster::create(bed, self.shape.clone())?);
            if let Err(why) = new.settle(START) {
                // The scheduler may have put the two volumes of a pod on two nodes: nobody can start that one.
                eprintln!("{} does not start, and another one is made: {why:#}", new.namespace);
                end(cluster);
                cluster.insert(Cluster::create(bed, self.shape.clone())?).settle(START)?;
            }
        }
        Ok(())
    }
}

fn end(cluster: &mut Option<Cluster>) {
    if let Some(Err(why)) = cluster.take().map(|cluster| cluster.delete()) {
        eprintln!("a namespace stays for the next run to delete: {why:#}");
    }
}
