//! `pvc prune`: two looks, what the left-over volumes hold, a question, and then one after the other (safety D5).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::api::Api;
use crate::api::custody::custody;
use crate::api::volumes::list_volumes;
use crate::api::writes::{Denied, Resource, delete};
use crate::carry_out::helper::Helpers;
use crate::carry_out::prepare::{unseen, whole_set};
use crate::carry_out::{Consent, Mode};
use crate::decide::finding::NextCommand;
use crate::decide::helper::Helper;
use crate::decide::operation::custody::Custody;
use crate::decide::operation::journal::Holder;
use crate::decide::operation::plan::{Loss, Refusal};
use crate::decide::rules::operations as rules;
use crate::decide::volumes::prune::{
    Fate, Leftover, Survivors, accepting, all_stay, apart, fate, leftovers, of_the_set, same_history, survivors,
    survivors_of_both, to_read, unfit,
};
use crate::failure::{Failure, Kind};
use crate::model::fact::{Fact, Why};
use crate::model::names::Target;
use crate::model::snapshot::Snapshot;
use crate::model::volumes::Volume;
use crate::observe::{self, Depth};
use crate::process::Pace;

use super::guard::{Blocked, Guard};
use super::read::{Read, read};
use super::{Did, End, Item, Outcome, Report, needed_mounts, needed_volumes, tell_reclaim};

/// A claim that nothing mounts goes within a second.
const GONE: Duration = Duration::from_secs(30);

pub struct Pruning<'a> {
    pub api: &'a Api,
    pub target: &'a Target,
    pub depth: Depth,
    pub pace: Pace,
    pub holder: Holder,
    pub mode: Mode,
    pub accepted: &'a [Loss],
    pub helpers: &'a Helpers<'a>,
    /// How many claims the API server was asked to delete, for whoever is interrupted.
    pub asked: &'a std::cell::Cell<usize>,
}

/// What may be deleted, and what it was judged by.
struct Judged {
    seen: Snapshot,
    custody: Custody,
    judged: Vec<(Leftover, Fate)>,
    survivors: Survivors,
}

/// Before anything was judged, or after.
enum Before {
    End(End),
    Judged(Box<Judged>),
}

impl Pruning<'_> {
    /// One run. `agree` is asked before the helper pods, `confirm` before the first deletion.
    ///
    /// # Errors
    /// Something that is needed could not be seen.
    pub async fn run(
        &self,
        agree: &mut impl AsyncFnMut(&[Helper]) -> Consent,
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
        let judged = match Box::pin(self.judge(&set, &guard, agree, tell)).await? {
            Before::End(end) => return Ok(end),
            Before::Judged(judged) => judged,
        };
        if !judged.judged.iter().any(|(_, fate)| matches!(fate, Fate::Goes { .. })) {
            return Ok(End::Refused(all_stay(&judged.seen, &judged.judged)));
        }
        let mut report = self.planned(&judged).await;
        match self.mode {
            Mode::Plan => return Ok(End::Report(report)),
            Mode::Prove => return Ok(End::Report(self.proven(report).await)),
            Mode::Do => {}
        }
        let declined = match confirm(&report).await {
            Consent::Given => None,
            Consent::Declined => Some(Outcome::Declined),
            Consent::NobodyToAsk => Some(Outcome::NobodyToAsk),
        };
        if let Some(outcome) = declined {
            report.items.iter_mut().filter(|item| item.did == Did::WouldDelete).for_each(|item| item.did = Did::NotReached);
            return Ok(End::Report(Report { outcome, message: "Nothing was deleted.".to_owned(), ..report }));
        }
        self.delete_all(&mut guard, &judged, &mut report, tell).await?;
        self.read_back(&mut report).await;
        Ok(End::Report(self.told(report)))
    }

    async fn judge(
        &self,
        set: &Value,
        guard: &Guard<'_>,
        agree: &mut impl AsyncFnMut(&[Helper]) -> Consent,
        tell: &mut impl FnMut(&str),
    ) -> Result<Before, Failure> {
        let custody = custody(self.api, &self.target.namespace, set).await;
        let of_the_set = |seen: &Snapshot| of_the_set(seen, guard.stopped(), &custody).map_err(unseen);
        let first = self.look().await?;
        if let Some(refusal) = of_the_set(&first)? {
            return Ok(Before::End(End::Refused(refusal)));
        }
        if self.leftovers(&first).await?.is_empty() {
            return Ok(Before::End(End::Report(self.nothing(&first))));
        }
        if let Err(wrong) = survivors(&first) {
            return Ok(Before::End(End::Refused(unfit(&first, wrong))));
        }
        tell(&format!("looking again in {} s", self.pace.settle.as_secs()));
        sleep(self.pace.settle).await;
        let seen = self.look().await?;
        if let Some(refusal) = of_the_set(&seen)? {
            return Ok(Before::End(End::Refused(refusal)));
        }
        let survivors = match survivors_of_both(&first, &seen) {
            Ok(survivors) => survivors,
            Err(refusal) => return Ok(Before::End(End::Refused(refusal))),
        };
        let mut left = self.leftovers(&seen).await?;
        let to_read = to_read(&seen, &left);
        let files = match Box::pin(read(self.api, &to_read, set, self.depth, self.helpers, self.mode, agree)).await? {
            Read::Files(files) => files,
            other => return self.unread(other, &left).await.map(Before::End),
        };
        for left in &mut left {
            left.files = files.get(&left.ordinal).cloned().unwrap_or(Fact::Unknown(Why::NotAsked));
        }
        let apart = apart(&left, &survivors);
        let fates: Vec<Fate> = left.iter().map(|left| fate(left, apart, &survivors, self.accepted)).collect();
        let judged = left.into_iter().zip(fates).collect();
        Ok(Before::Judged(Box::new(Judged { judged, seen, custody, survivors })))
    }

    async fn look(&self) -> Result<Snapshot, Failure> {
        Box::pin(observe::cluster(self.api, self.target, self.depth)).await
    }

    async fn leftovers(&self, seen: &Snapshot) -> Result<Vec<Leftover>, Failure> {
        let namespace = &self.target.namespace;
        let volumes = needed_volumes(self.api, namespace).await?;
        Ok(leftovers(seen, &volumes, &Fact::Known(needed_mounts(self.api, namespace).await?)))
    }

    fn nothing(&self, seen: &Snapshot) -> Report {
        let name = &self.target.name;
        let notes = seen
            .objects
            .stateful_set
            .deletes_claims_when_scaled
            .then(|| format!("Kubernetes itself deletes the volumes of {name} that a scale-in leaves (whenScaled: Delete)."));
        Report {
            outcome: Outcome::NothingToDo,
            message: format!("No volume of {name} is left over."),
            rule: None,
            items: Vec::new(),
            notes: notes.into_iter().collect(),
            next: Vec::new(),
        }
    }

    /// Why nothing was read, or what would be.
    async fn unread(&self, read: Read, left: &[Leftover]) -> Result<End, Failure> {
        let item = |left: &Leftover, did: Did, because: &str| {
            let because = because.to_owned();
            let items = left.claims.iter().map(move |claim| Item::new(claim, left.ordinal, did, because.clone()));
            items.collect::<Vec<_>>()
        };
        let all = |did: Did, because: &str| left.iter().flat_map(|left| item(left, did, because)).collect::<Vec<_>>();
        let (outcome, message, items) = match read {
            Read::Planned(helpers) => {
                let names: Vec<&str> = helpers.iter().map(|helper| helper.name.as_str()).collect();
                let message = format!("What the volumes hold decides. It would be read first, by {}.", names.join(", "));
                (Outcome::Planned, message, all(Did::WouldRead, "a helper pod would read what it holds"))
            }
            Read::Denied(denied) => {
                if let Some((_, Denied::Right(right))) = denied.iter().find(|(_, why)| matches!(why, Denied::Right(_))) {
                    let text = "what the left-over volumes hold could not be read: a helper pod is forbidden to you".to_owned();
                    return Err(Failure::new(Kind::Forbidden, text).hint(format!("you need the right to {right}")));
                }
                let why: Vec<String> =
                    denied.iter().map(|(helper, why)| format!("{}: {}", helper.name, Why::from(why.clone()))).collect();
                let message = format!("The API server would not take a helper pod: {}. Nothing was deleted.", why.join("; "));
                (Outcome::Denied, message, all(Did::Kept, "what it holds could not be read"))
            }
            Read::NobodyToAsk => (
                Outcome::NobodyToAsk,
                "There is no terminal to ask at: give -y to do this without a question. Nothing was deleted.".to_owned(),
                all(Did::NotReached, "what it holds was not read"),
            ),
            Read::Declined | Read::Files(_) => {
                (Outcome::Declined, "Nothing was deleted.".to_owned(), all(Did::NotReached, "what it holds was not read"))
            }
        };
        let mut report = Report { outcome, message, rule: None, items, notes: Vec::new(), next: Vec::new() };
        tell_reclaim(self.api, &mut report.items, self.depth.pod_timeout).await;
        Ok(End::Report(if self.mode == Mode::Prove { self.proven(report).await } else { report }))
    }

    async fn planned(&self, judged: &Judged) -> Report {
        let items = judged.judged.iter().flat_map(|(left, fate)| {
            let (did, because, loss) = match fate {
                Fate::Goes { because, loss } => (Did::WouldDelete, because, loss),
                Fate::Stays { because, loss } => (Did::Kept, because, loss),
            };
            left.claims
                .iter()
                .map(move |claim| Item { loss: loss.clone(), ..Item::new(claim, left.ordinal, did, because.clone()) })
        });
        let mut items: Vec<Item> = items.collect();
        tell_reclaim(self.api, &mut items, self.depth.pod_timeout).await;
        let mut notes = Vec::new();
        if judged.seen.objects.stateful_set.deletes_claims_when_scaled {
            let name = &self.target.name;
            notes.push(format!(
                "Kubernetes itself deletes the volumes of {name} that a scale-in leaves (whenScaled: Delete); these were left before."
            ));
        }
        if let Err(why) = judged.custody.horizontal.known() {
            notes.push(format!("Whether an autoscaler may want these volumes again is not known: {why}."));
        }
        let count = items.iter().filter(|item| item.did == Did::WouldDelete).count();
        let message = format!("{} of {} would be deleted.", volumes(count), self.target.name);
        Report { outcome: Outcome::Planned, message, rule: None, items, notes, next: Vec::new() }
    }

    /// Asks the API server about every deletion.
    async fn proven(&self, mut report: Report) -> Report {
        for item in report.items.iter_mut().filter(|item| matches!(item.did, Did::WouldDelete | Did::WouldRead)) {
            let (name, uid) = (&item.volume.name, &item.volume.uid);
            let answer = delete(self.api, Resource::Claims, &self.target.namespace, name, uid, true).await;
            item.server = Some(answer.map_err(Into::into));
        }
        report
    }

    /// Deletes what may go, one claim after the other, each only if everything is still as it was judged.
    async fn delete_all(
        &self,
        guard: &mut Guard<'_>,
        judged: &Judged,
        report: &mut Report,
        tell: &mut impl FnMut(&str),
    ) -> Result<(), Failure> {
        for number in 0..report.items.len() {
            if report.items[number].did != Did::WouldDelete {
                continue;
            }
            if report.rule.is_some() {
                report.items[number].did = Did::NotReached;
                continue;
            }
            let volume = report.items[number].volume.clone();
            tell(&format!("deleting {}", volume.name));
            let did = match self.delete(guard, judged, &volume).await {
                Ok(did) => did,
                Err(Blocked::Failed(failure)) => return Err(failure),
                Err(Blocked::Refused(refusal)) => {
                    report.rule = Some(refusal.rule);
                    let because = refusal.because.join("; ");
                    report.items[number].because =
                        if because.is_empty() { refusal.summary } else { format!("{}: {because}", refusal.summary) };
                    report.next.extend(refusal.by_hand);
                    Did::NotReached
                }
            };
            report.items[number].did = did;
        }
        Ok(())
    }

    async fn delete(&self, guard: &mut Guard<'_>, judged: &Judged, volume: &Volume) -> Result<Did, Blocked> {
        loop {
            self.still(judged, guard, volume).await?;
            let pass = guard.pass().await?;
            if !pass.is_fresh() {
                continue;
            }
            self.asked.set(self.asked.get() + 1);
            let namespace = &self.target.namespace;
            return match delete(self.api, Resource::Claims, namespace, &volume.name, &volume.uid, false).await {
                // Of an answer that was lost, too, it is read afterwards what became of it.
                Ok(()) | Err(Denied::Gone | Denied::Exists | Denied::Lost(_)) => Ok(Did::Going),
                Err(Denied::Right(right)) => {
                    let text = format!("the claim {} was not deleted: that is forbidden to you", volume.name);
                    Err(Blocked::Failed(Failure::new(Kind::Forbidden, text).hint(format!("you need the right to {right}"))))
                }
                Err(Denied::Refused(words) | Denied::Busy(words)) => {
                    let summary = format!("the API server does not delete the claim {}: {words}", volume.name);
                    Err(Blocked::Refused(Refusal::new(&rules::CHANGED_MEANWHILE, summary)))
                }
            };
        }
    }

    /// Whether the cluster is still the one that was judged, and nobody uses the volume.
    async fn still(&self, judged: &Judged, guard: &Guard<'_>, volume: &Volume) -> Result<(), Blocked> {
        let refused = |because: String| {
            let name = &self.target.name;
            let refusal = Refusal::new(&rules::CHANGED_MEANWHILE, format!("{name} has changed since its volumes were judged"));
            Err(Blocked::Refused(refusal.because([because]).plugin(&format!("pvc list {name}"))))
        };
        let seen = self.look().await.map_err(Blocked::Failed)?;
        let (before, now) = (&judged.seen.objects.stateful_set, &seen.objects.stateful_set);
        if before.uid != now.uid || before.generation != now.generation {
            return refused(format!("metadata.generation of the StatefulSet: {}, not {}", now.generation, before.generation));
        }
        let wanted = of_the_set(&seen, guard.stopped(), &judged.custody);
        if let Some(refusal) = wanted.map_err(|why| Blocked::Failed(unseen(why)))? {
            return Err(Blocked::Refused(refusal));
        }
        match survivors(&seen) {
            Err(wrong) => return Err(Blocked::Refused(unfit(&seen, wrong))),
            Ok(survivors) if !same_history(&survivors, &judged.survivors) => {
                return refused("the members hold another history now".to_owned());
            }
            Ok(_) => {}
        }
        let left = self.leftovers(&seen).await.map_err(Blocked::Failed)?;
        let Some(left) = left.iter().find(|left| left.claims.iter().any(|claim| claim.uid == volume.uid)) else {
            return refused(format!("the claim {} is not left over any more, or is another one", volume.name));
        };
        match left.used_by.known() {
            Ok(pods) if pods.is_empty() => Ok(()),
            Ok(pods) => refused(format!("{} is used by {}", volume.name, pods.iter().cloned().collect::<Vec<_>>().join(", "))),
            Err(why) => refused(format!("who uses {} is not known: {why}", volume.name)),
        }
    }

    /// Done means read back (safety G6).
    async fn read_back(&self, report: &mut Report) {
        let began = Instant::now();
        loop {
            let found = list_volumes(self.api, &self.target.namespace).await;
            if let Ok(volumes) = found.known() {
                let there: BTreeSet<&str> = volumes.iter().map(|volume| volume.uid.as_str()).collect();
                let gone = |item: &&mut Item| item.did == Did::Going && !there.contains(item.volume.uid.as_str());
                report.items.iter_mut().filter(gone).for_each(|item| item.did = Did::Deleted);
            }
            if !report.items.iter().any(|item| item.did == Did::Going) {
                return;
            }
            if began.elapsed() > GONE.min(self.pace.patience) {
                return self.still_there(report, &found);
            }
            sleep(self.pace.look).await;
        }
    }

    fn still_there(&self, report: &mut Report, found: &Fact<Vec<Volume>>) {
        for item in report.items.iter_mut().filter(|item| item.did == Did::Going) {
            let now = found.known().ok().and_then(|all| all.iter().find(|volume| volume.uid == item.volume.uid));
            match now {
                Some(volume) if volume.deletion.is_none() => {
                    item.did = Did::Failed;
                    item.because = "the answer of the API server was lost, and the claim is still there".to_owned();
                }
                Some(_) => item.because = "the API server has marked it, and a finalizer keeps it".to_owned(),
                None => item.because = "whether it is gone could not be read back".to_owned(),
            }
        }
    }

    fn told(&self, report: Report) -> Report {
        let count = |did: Did| report.items.iter().filter(|item| item.did == did).count();
        let (deleted, kept) = (count(Did::Deleted), count(Did::Kept));
        let open = count(Did::Going) + count(Did::Failed);
        let name = &self.target.name;
        let mut message = format!("{} of {name} {} deleted", volumes(deleted), was(deleted));
        if kept > 0 {
            message.push_str(&format!(", {kept} {} kept", was(kept)));
        }
        if open > 0 {
            message.push_str(&format!(", {open} {} not seen to go", was(open)));
        }
        let left = count(Did::NotReached);
        if left > 0 {
            message.push_str(&format!(", {left} {} left alone because something changed", was(left)));
        }
        let outcome = match () {
            () if report.rule.is_some() => Outcome::Stopped,
            () if open > 0 => Outcome::Failed,
            () => Outcome::Done,
        };
        let kept = report.items.iter().filter(|item| item.did == Did::Kept).filter_map(|item| item.loss.as_ref());
        let mut accept: Vec<&Loss> = kept.collect();
        accept.dedup();
        let words = |text: String| NextCommand::Plugin(text.split(' ').map(str::to_owned).collect());
        let next: Vec<NextCommand> = accept.into_iter().map(|loss| words(accepting(name, loss))).collect();
        let next = report.next.iter().cloned().chain(next).collect();
        Report { outcome, message: message + ".", next, ..report }
    }
}

fn volumes(count: usize) -> String {
    if count == 1 { "1 volume".to_owned() } else { format!("{count} volumes") }
}

const fn was(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}
