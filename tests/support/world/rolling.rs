//! Pod templates and who runs which: revisions, the partition, images and the versions of the servers in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Cluster, Engine, Pod};

/// What of a set's templates is kept.
#[derive(Clone, Default)]
pub struct Rolling {
    /// Images of the revisions, the oldest first; before the first change: none, the set's own.
    revisions: Vec<String>,
    /// `status.currentRevision`.
    current: usize,
    /// Of which revision each pod was made; the first where nothing is said.
    made: BTreeMap<u32, usize>,
    /// Images that no node can get.
    pub broken: BTreeSet<String>,
    /// Images with which a server never gets beyond its start.
    pub stuck: BTreeSet<String>,
    /// Members that do not join after their next start.
    pub lost: BTreeSet<u32>,
    /// Members whose server does not stop within the grace period of its pod, and is killed.
    pub outstay: BTreeSet<u32>,
    /// How far they are with that.
    going: BTreeMap<u32, Going>,
    /// Members whose pod came after the one before had outstayed its grace period.
    late: BTreeSet<u32>,
    /// The update strategy is `OnDelete`: nobody is held back, and nobody replaced.
    pub on_delete: bool,
    /// Of which version the system tables of a member are.
    tables: BTreeMap<u32, String>,
    /// How often tables were converted.
    pub conversions: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Going {
    Stopping,
    Killed,
}

impl Cluster {
    /// One moment more of a pod that is going. Whether it is still there.
    pub(super) fn lingers(&mut self, ordinal: u32) -> bool {
        if !self.rolling.outstay.contains(&ordinal) {
            self.rolling.late.remove(&ordinal);
            return false;
        }
        match self.rolling.going.get(&ordinal) {
            None => self.rolling.going.insert(ordinal, Going::Stopping),
            Some(Going::Stopping) => {
                self.engine.kill(ordinal);
                self.rolling.going.insert(ordinal, Going::Killed)
            }
            Some(Going::Killed) => {
                self.rolling.late.insert(ordinal);
                self.rolling.going.remove(&ordinal);
                return false;
            }
        };
        true
    }

    pub(super) fn is_killed(&self, ordinal: u32) -> bool {
        self.rolling.going.get(&ordinal) == Some(&Going::Killed)
    }

    /// When the pod of an ordinal was made: one after the first comes when the one before is gone.
    pub(super) fn pod_created(&self, ordinal: u32) -> &'static str {
        match self.members[&ordinal].remade {
            0 => super::objects::CREATED,
            _ if self.rolling.late.contains(&ordinal) => "2026-01-02T04:00:01Z",
            _ => "2026-01-02T03:59:33Z",
        }
    }

    /// The place of the template's image among the revisions.
    fn newest(&self) -> usize {
        let known = self.rolling.revisions.iter().position(|image| *image == self.image);
        known.unwrap_or(self.rolling.revisions.len())
    }

    fn revision(&self, index: usize) -> String {
        format!("{}-{}", self.name, index + 1)
    }

    pub fn current_revision(&self) -> String {
        self.revision(self.rolling.current)
    }

    pub fn update_revision(&self) -> String {
        self.revision(self.newest())
    }

    pub fn revision_of(&self, ordinal: u32) -> String {
        self.revision(self.made(ordinal))
    }

    fn made(&self, ordinal: u32) -> usize {
        self.rolling.made.get(&ordinal).copied().unwrap_or(0)
    }

    pub fn image_of(&self, ordinal: u32) -> String {
        self.rolling.revisions.get(self.made(ordinal)).unwrap_or(&self.image).clone()
    }

    /// The version of the server in an image: what its tag says, or what all run from the beginning.
    pub fn version_in(&self, image: &str) -> String {
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        if tag.matches('.').count() == 2 { tag.to_owned() } else { self.version.clone() }
    }

    pub fn version_of(&self, ordinal: u32) -> String {
        self.version_in(&self.image_of(ordinal))
    }

    pub fn tables_of(&self, ordinal: u32) -> String {
        self.rolling.tables.get(&ordinal).unwrap_or(&self.version).clone()
    }

    pub fn convert_tables(&mut self, ordinal: u32) {
        let version = self.version_of(ordinal);
        self.rolling.tables.insert(ordinal, version);
        self.rolling.conversions += 1;
    }

    /// Every pod, by what it runs.
    pub fn images(&self) -> Vec<String> {
        self.members.keys().map(|ordinal| self.image_of(*ordinal)).collect()
    }

    /// Somebody, or a patch, names another image.
    pub fn set_image(&mut self, image: &str) {
        if self.rolling.revisions.is_empty() {
            self.rolling.revisions.push(self.image.clone());
        }
        image.clone_into(&mut self.image);
        let newest = self.newest();
        if newest == self.rolling.revisions.len() {
            self.rolling.revisions.push(image.to_owned());
        }
    }

    /// The changes of a patch that are about the template; `false`: it is about something else.
    pub(super) fn patch_rollout(&mut self, operation: &str, path: &str, value: &Value) -> bool {
        match (operation, path) {
            ("replace", "/spec/template/spec/containers/0/image") => self.set_image(value.as_str().unwrap()),
            ("add", "/spec/updateStrategy/rollingUpdate/partition") => {
                self.partition = u32::try_from(value.as_u64().unwrap()).unwrap();
            }
            _ => return false,
        }
        true
    }

    /// A pod is made: below the partition of the current revision, else of the newest. Its container, if its server starts.
    pub(super) fn make(&mut self, ordinal: u32) {
        let held = !self.rolling.on_delete && ordinal < self.controller.start + self.partition;
        let index = if held { self.rolling.current } else { self.newest() };
        self.rolling.made.insert(ordinal, index);
    }

    /// How a pod that was made comes up; `None`: its server starts.
    pub(super) fn comes_up(&self, ordinal: u32) -> Option<Pod> {
        let image = self.image_of(ordinal);
        if self.rolling.broken.contains(&image) {
            return Some(Pod::Waiting { reason: "ImagePullBackOff", message: "Back-off pulling image" });
        }
        self.rolling
            .stuck
            .contains(&image)
            .then_some(Pod::Waiting { reason: "CrashLoopBackOff", message: "back-off 10s restarting failed container" })
    }

    /// From the highest ordinal down to the partition: the first pod that is not of the newest revision leaves, unless one
    /// above it is not Ready yet.
    pub(super) fn roll(&mut self) {
        if self.rolling.on_delete {
            return;
        }
        let newest = self.newest();
        let (start, end) = (self.controller.start, self.controller.start + self.replicas);
        for ordinal in (start + self.partition.min(self.replicas)..end).rev() {
            if self.members.get(&ordinal).is_none_or(|member| member.pod == Pod::Absent) {
                return;
            }
            if self.made(ordinal) != newest {
                self.leave(ordinal);
                return;
            }
            if self.members[&ordinal].pod != (Pod::Running { ready: true }) || self.is_leaving(ordinal) {
                return;
            }
        }
        if (start..end).all(|ordinal| self.made(ordinal) == newest) {
            self.rolling.current = newest;
        }
    }

    /// `spec.updateStrategy`, as the API server has it.
    pub(super) fn update_strategy(&self) -> Value {
        if self.rolling.on_delete {
            json!({ "type": "OnDelete" })
        } else {
            json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": self.partition } })
        }
    }

    /// What mariadb-operator makes of its object: image, strategy and partition arrive in one change of the set.
    pub(super) fn pass_on(&mut self, spec: &Value) -> bool {
        let strategy = &spec["updateStrategy"];
        let on_delete = strategy["type"] != "RollingUpdate";
        let partition = strategy["rollingUpdate"]["partition"].as_u64().filter(|_| !on_delete).unwrap_or(0);
        let partition = u32::try_from(partition).unwrap();
        let image = spec["image"].as_str().unwrap();
        if (self.image.as_str(), self.rolling.on_delete, self.partition) == (image, on_delete, partition) {
            return false;
        }
        self.set_image(image);
        (self.rolling.on_delete, self.partition) = (on_delete, partition);
        let stale = self.members.keys().any(|ordinal| self.made(*ordinal) != self.newest());
        assert!(!(on_delete && stale), "the operator would replace pods in its own order");
        self.controller.generation += 1;
        true
    }

    pub(super) fn start_server(&mut self, ordinal: u32) {
        if matches!(&self.engine, Engine::Gtid(replication) if !replication.has(ordinal)) {
            return self.start_replica(ordinal);
        }
        self.engine.start(ordinal);
        let opens = self.members[&ordinal].starts_read_only == Some(false);
        if let Engine::Gtid(replication) = &mut self.engine {
            // As its configuration says; without one that is seen nobody opens himself.
            replication.server(ordinal).read_only = !opens;
            replication.catch_up(ordinal);
        }
        if self.rolling.lost.remove(&ordinal) {
            self.as_galera().disconnect(ordinal);
        }
    }
}
