//! `pvc expand`: one claim after the other, each until its file system shows the new size.

use std::time::Instant;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::api::Api;
use crate::api::volumes::{get_storage_class, get_volume};
use crate::api::writes::{Denied, Resource, patch};
use crate::carry_out::prepare::{unseen, whole_set};
use crate::carry_out::{Consent, Mode};
use crate::decide::finding::NextCommand;
use crate::decide::operation::journal::Holder;
use crate::decide::rules::operations as rules;
use crate::decide::volumes::data_template;
use crate::decide::volumes::expand::{Expansion, Growth, classes, expansion, has, is_shown};
use crate::failure::{Failure, Kind};
use crate::model::fact::{Fact, Why};
use crate::model::names::{Ordinal, Target};
use crate::model::quantity::Quantity;
use crate::model::snapshot::Snapshot;
use crate::model::volumes::Volume;
use crate::observe::{self, Depth};
use crate::process::Pace;

use super::guard::{Blocked, Guard};
use super::{Did, End, Item, Outcome, Report, needed_volumes};

/// How many times the patience with a silent API server a storage may need: some copy, and take minutes.
const SLOW: u32 = 5;

pub struct Expanding<'a> {
    pub api: &'a Api,
    pub target: &'a Target,
    pub depth: Depth,
    pub pace: Pace,
    pub holder: Holder,
    pub mode: Mode,
    pub size: &'a Quantity,
    /// Of the whole command.
    pub deadline: Option<Instant>,
}

/// How one claim ended.
struct Grown {
    did: Did,
    because: String,
    /// The rest is not begun.
    stops: Option<Outcome>,
}

impl Expanding<'_> {
    /// One run. `confirm` is asked before the first patch.
    ///
    /// # Errors
    /// Something that is needed could not be seen.
    pub async fn run(
        &self,
        confirm: &mut impl AsyncFnMut(&Report) -> Consent,
        tell: &mut impl FnMut(&str),
    ) -> Result<End, Failure> {
        let set = whole_set(self.api, self.target).await?;
        let uid = set["metadata"]["uid"].as_str().unwrap_or_default();
        let clock = self.depth.clock;
        let mut guard = Guard::read(self.api, self.target, uid, self.holder.clone(), clock, self.pace.patience).await?;
        if let Some(refusal) = guard.refusal() {
            return Ok(End::Refused(refusal));
        }
        let seen = self.look().await?;
        let volumes = needed_volumes(self.api, &self.target.namespace).await?;
        let mut found = Vec::new();
        for class in classes(&seen, &volumes) {
            found.push((class, get_storage_class(self.api, class).await));
        }
        let growths = match expansion(&seen, &volumes, &found, self.size).map_err(unseen)? {
            Expansion::Refuse(refusal) => return Ok(End::Refused(refusal)),
            Expansion::Nothing => return Ok(End::Report(self.nothing(&seen, &set))),
            Expansion::Go(growths) => growths,
        };
        let mut report = self.planned(&seen, &set, &growths);
        match self.mode {
            Mode::Plan => return Ok(End::Report(report)),
            Mode::Prove => return Ok(End::Report(self.proven(report, &growths).await)),
            Mode::Do => {}
        }
        let declined = match confirm(&report).await {
            Consent::Given => None,
            Consent::Declined => Some((Outcome::Declined, "Nothing was changed.")),
            Consent::NobodyToAsk => Some((
                Outcome::NobodyToAsk,
                "There is no terminal to ask at: give -y to do this without a question. Nothing was changed.",
            )),
        };
        if let Some((outcome, message)) = declined {
            report.items.iter_mut().for_each(|item| item.did = Did::NotReached);
            return Ok(End::Report(Report {
                outcome,
                message: message.to_owned(),
                notes: Vec::new(),
                next: Vec::new(),
                ..report
            }));
        }
        self.grow_all(&mut guard, &seen, &growths, &mut report, tell).await?;
        Ok(End::Report(report))
    }

    async fn look(&self) -> Result<Snapshot, Failure> {
        Box::pin(observe::cluster(self.api, self.target, self.depth)).await
    }

    fn nothing(&self, seen: &Snapshot, set: &Value) -> Report {
        let message = format!("Every volume of {} has {} or is as large already.", self.target.name, self.size);
        let (notes, next) = self.template(seen, set);
        Report { outcome: Outcome::NothingToDo, message, rule: None, items: Vec::new(), notes, next }
    }

    fn planned(&self, seen: &Snapshot, set: &Value, growths: &[Growth]) -> Report {
        let item = |growth: &Growth| {
            let now = growth.volume.requested.as_deref().unwrap_or("?");
            let because = if growth.asked {
                format!("{} was asked for before: it is waited for", self.size)
            } else {
                format!("from {now} to {}", self.size)
            };
            Item::new(&growth.volume, growth.ordinal, Did::WouldExpand, because)
        };
        let (notes, next) = self.template(seen, set);
        let message = format!("{} would be expanded to {}, one after the other.", volumes(growths.len()), self.size);
        Report { outcome: Outcome::Planned, message, rule: None, items: growths.iter().map(item).collect(), notes, next }
    }

    /// What the set makes for a member that is added: nobody can change that.
    fn template(&self, seen: &Snapshot, set: &Value) -> (Vec<String>, Vec<NextCommand>) {
        let templates = set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        let mut templates = templates.filter(|template| template["metadata"]["name"].as_str() == data_template(seen));
        let says = templates.next().and_then(|template| template["spec"]["resources"]["requests"]["storage"].as_str());
        let name = &self.target.name;
        match says {
            Some(says) if says.parse::<Quantity>().is_ok_and(|says| says.bytes < self.size.bytes) => {
                let note = format!(
                    "The claim template of {name} says {says}, and Kubernetes lets nobody change it: the next member that is added gets \
                     a volume of that size. To have it changed save the set as a file, delete it without its pods, and create it \
                     again from the file with {}. Whoever uses Helm or GitOps changes the size there instead, and deletes the set in \
                     the same way.",
                    self.size
                );
                let words = |text: String| NextCommand::Kubectl(text.split(' ').map(str::to_owned).collect());
                let steps = [
                    format!("get statefulset {name} -o yaml"),
                    format!("delete statefulset {name} --cascade=orphan"),
                    format!("create -f {name}.yaml"),
                ];
                (vec![note], steps.into_iter().map(words).collect())
            }
            _ => (Vec::new(), Vec::new()),
        }
    }

    async fn ask(&self, volume: &Volume, dry_run: bool) -> Result<(), Denied> {
        // Nobody else's change is overwritten (safety E4).
        let path = "/spec/resources/requests/storage";
        let operations = json!([
            {"op": "test", "path": "/metadata/uid", "value": volume.uid},
            {"op": "test", "path": path, "value": volume.requested},
            {"op": "replace", "path": path, "value": self.size.to_string()},
        ]);
        patch(self.api, Resource::Claims, &self.target.namespace, &volume.name, &operations, dry_run).await.map(drop)
    }

    async fn proven(&self, mut report: Report, growths: &[Growth]) -> Report {
        for (item, growth) in report.items.iter_mut().zip(growths).filter(|(_, growth)| !growth.asked) {
            item.server = Some(self.ask(&growth.volume, true).await.map_err(Into::into));
        }
        if report.items.iter().any(|item| matches!(item.server, Some(Err(_)))) {
            report.outcome = Outcome::Denied;
        }
        report
    }

    async fn grow_all(
        &self,
        guard: &mut Guard<'_>,
        seen: &Snapshot,
        growths: &[Growth],
        report: &mut Report,
        tell: &mut impl FnMut(&str),
    ) -> Result<(), Failure> {
        let mut ended = None;
        for (number, growth) in growths.iter().enumerate() {
            if ended.is_some() {
                report.items[number].did = Did::NotReached;
                continue;
            }
            tell(&format!("expanding {} to {}", growth.volume.name, self.size));
            let grown = match self.grow(guard, seen, growth).await {
                Ok(grown) => grown,
                Err(Blocked::Failed(failure)) => return Err(self.with_progress(failure, report)),
                Err(Blocked::Refused(refusal)) => {
                    report.rule = Some(refusal.rule);
                    report.next = refusal.by_hand;
                    Grown { did: Did::NotReached, because: refusal.summary, stops: Some(Outcome::Stopped) }
                }
            };
            (report.items[number].did, report.items[number].because) = (grown.did, grown.because);
            ended = grown.stops;
        }
        report.outcome = ended.unwrap_or(Outcome::Done);
        let done = report.items.iter().filter(|item| matches!(item.did, Did::Expanded | Did::Pending)).count();
        let name = &self.target.name;
        report.message = match ended {
            None => format!("{} of {name} {} {} now.", volumes(done), if done == 1 { "has" } else { "have" }, self.size),
            Some(_) => {
                format!("{} of {} of {name} {} expanded; the rest was left alone.", done, volumes(growths.len()), was(done))
            }
        };
        if matches!(ended, Some(Outcome::Failed | Outcome::TimedOut)) {
            report.rule = Some(&rules::NOT_EXPANDED);
            let broken = report.items.iter().find(|item| item.did == Did::Failed).map(|item| item.volume.name.clone());
            report.next = vec![NextCommand::Kubectl(vec!["describe".to_owned(), "pvc".to_owned(), broken.unwrap_or_default()])];
        }
        Ok(())
    }

    fn with_progress(&self, failure: Failure, report: &Report) -> Failure {
        let done = report.items.iter().filter(|item| item.did == Did::Expanded).count();
        failure.and(&format!("{} of {} expanded before", volumes(done), was(done)))
    }

    async fn grow(&self, guard: &mut Guard<'_>, seen: &Snapshot, growth: &Growth) -> Result<Grown, Blocked> {
        if !growth.asked {
            while !guard.pass().await?.is_fresh() {}
            match self.ask(&growth.volume, false).await {
                // An answer that was lost is read back.
                Ok(()) | Err(Denied::Lost(_)) => {}
                Err(Denied::Right(right)) => {
                    let text = format!("the claim {} was not changed: that is forbidden to you", growth.volume.name);
                    let failure = Failure::new(Kind::Forbidden, text).hint(format!("you need the right to {right}"));
                    return Err(Blocked::Failed(failure));
                }
                Err(Denied::Gone | Denied::Exists) => {
                    let because = "somebody else has changed it, or it is another one by now".to_owned();
                    return Ok(Grown { did: Did::Failed, because, stops: Some(Outcome::Failed) });
                }
                Err(Denied::Refused(words) | Denied::Busy(words)) => {
                    let because = format!("the API server does not take it: {words}");
                    return Ok(Grown { did: Did::Failed, because, stops: Some(Outcome::Failed) });
                }
            }
        }
        self.wait(seen, growth).await
    }

    /// Waits until the volume, and its file system, have the size.
    async fn wait(&self, seen: &Snapshot, growth: &Growth) -> Result<Grown, Blocked> {
        let (namespace, name) = (&self.target.namespace, &growth.volume.name);
        let limit = Instant::now() + self.pace.patience * SLOW;
        let limit = self.deadline.map_or(limit, |deadline| deadline.min(limit));
        let before = total(seen, growth.ordinal).known().ok().copied();
        loop {
            let found = get_volume(self.api, namespace, name).await;
            let waits = match found.known() {
                Ok(None) => return Ok(failed("it is gone".to_owned())),
                Ok(Some(volume)) if volume.uid != growth.volume.uid => return Ok(failed("it is another one by now".to_owned())),
                Ok(Some(volume)) if !self.is_asked_for(volume) => {
                    let now = volume.requested.as_deref().unwrap_or("nothing");
                    return Ok(failed(format!("somebody asks for {now} now, or the request never arrived")));
                }
                Ok(Some(volume)) => match volume.cannot_grow() {
                    Some(status) => return Ok(failed(format!("the storage cannot do it: {status}"))),
                    None => self.state(volume, growth.ordinal, before).await?,
                },
                Err(Why::Forbidden(right)) => {
                    let text = format!("whether {name} grows cannot be read: that is forbidden to you");
                    let failure = Failure::new(Kind::Forbidden, text).hint(format!("you need the right to {right}"));
                    return Err(Blocked::Failed(failure));
                }
                Err(why) => Err(why.to_string()),
            };
            match waits {
                Ok(grown) => return Ok(grown),
                Err(why) if Instant::now() >= limit => {
                    let because = format!("it did not come in time: {why}");
                    return Ok(Grown { did: Did::Failed, because, stops: Some(Outcome::TimedOut) });
                }
                Err(_) => sleep(self.pace.look).await,
            }
        }
    }

    /// The API server writes sizes in a form of its own: 2048Mi is 2Gi.
    fn is_asked_for(&self, volume: &Volume) -> bool {
        let now = volume.requested.as_deref().and_then(|now| now.parse::<Quantity>().ok());
        now.is_some_and(|now| now.bytes == self.size.bytes)
    }

    /// What became of a request that was taken; or what it still waits for. Only what runs shows the file system (safety G6).
    async fn state(&self, volume: &Volume, ordinal: Ordinal, before: Option<u64>) -> Result<Result<Grown, String>, Blocked> {
        let pending = volume.conditions.iter().any(|condition| condition == "FileSystemResizePending");
        if !has(volume, self.size) && !pending {
            let now = volume.capacity.as_deref().unwrap_or("unknown");
            return Ok(Err(format!("the capacity of {} is {now}", volume.name)));
        }
        let seen = self.look().await.map_err(Blocked::Failed)?;
        Ok(match total(&seen, ordinal) {
            Fact::Unknown(Why::NotRunning(why)) if pending => Ok(Grown {
                did: Did::Pending,
                because: format!("its file system grows at the next start of its pod: {why}"),
                stops: None,
            }),
            Fact::Unknown(Why::NotRunning(why)) => {
                Ok(Grown { did: Did::Expanded, because: format!("Kubernetes says so; no server shows it: {why}"), stops: None })
            }
            Fact::Unknown(why @ Why::Forbidden(_)) if !pending => Ok(Grown {
                did: Did::Expanded,
                because: format!("Kubernetes says so; in the pod it was not seen: {why}"),
                stops: None,
            }),
            Fact::Unknown(why) => Err(format!("the file system in {} cannot be looked at: {why}", seen.pod_name(ordinal))),
            Fact::Known(total) if !pending && is_shown(total, before, self.size) => {
                let because = format!("{} MiB in {}", total >> 20, seen.pod_name(ordinal));
                Ok(Grown { did: Did::Expanded, because, stops: None })
            }
            Fact::Known(total) => Err(format!("the file system in {} has {} MiB", seen.pod_name(ordinal), total >> 20)),
        })
    }
}

fn failed(because: String) -> Grown {
    Grown { did: Did::Failed, because, stops: Some(Outcome::Failed) }
}

/// Bytes of the file system of the data directory.
fn total(seen: &Snapshot, ordinal: Ordinal) -> Fact<u64> {
    let member = seen.members.get(&ordinal);
    member.map_or_else(
        || Fact::Unknown(Why::NotRunning("there is no pod".to_owned())),
        |member| member.files.clone().map(|files| files.space.total),
    )
}

fn volumes(count: usize) -> String {
    if count == 1 { "1 volume".to_owned() } else { format!("{count} volumes") }
}

const fn was(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}
