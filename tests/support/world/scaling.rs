//! How mariadb-operator makes a replicating cluster larger: a backup, its data in a new volume, one pod more, and a replica that
//! follows. One thing per look, as 25.10.4 does it.

use serde_json::{Value, json};

use super::volumes::claim;
use super::{Cluster, Engine, Pod};

/// How far the operator is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    #[default]
    Rests,
    BacksUp,
    /// As the backup before, seen for a while.
    Restores,
    Grows,
    Configures,
}

impl Cluster {
    /// The same, managed by an operator that can copy the data for new replicas.
    pub fn seeding(self) -> Self {
        let mut cluster = self.operated();
        let operator = cluster.operator();
        operator.spec["replication"]["replica"] =
            json!({ "bootstrapFrom": { "physicalBackupTemplateRef": { "name": "db-model" } } });
        operator.condition("ReplicationConfigured", "True", "ReplicationConfigured", "Replication configured");
        cluster
    }

    fn temporary(&self) -> String {
        format!("{}-pb-scaleout", self.name)
    }

    /// Whether all pods of the set run and are Ready.
    fn is_ready(&self) -> bool {
        (0..self.replicas).all(|ordinal| self.members.get(&ordinal).is_some_and(|it| it.pod == Pod::Running { ready: true }))
    }

    /// One thing that it does for a replicating cluster.
    pub(super) fn tick_replicas(&mut self) {
        let operator = self.operator();
        if operator.spec["suspend"] == true {
            operator.condition("Ready", "False", "Suspended", "Suspended");
            return;
        }
        let replicas = u32::try_from(operator.spec["replicas"].as_u64().unwrap()).unwrap();
        let (ready, grows) = (self.is_ready(), replicas > self.replicas);
        let fewer = replicas < self.replicas;
        match self.operator().scaling {
            Scaling::Configures if fewer => self.scaled(),
            Scaling::Configures => self.configure(),
            Scaling::Rests if grows => self.begin_to_grow(replicas),
            Scaling::Rests => {
                let says =
                    if ready { ("True", "StatefulSetReady", "Running") } else { ("False", "StatefulSetNotReady", "Not ready") };
                let operator = self.operator();
                operator.condition("Ready", says.0, says.1, says.2);
                // Also where nothing was scaled at all.
                if operator.denies("ScaledOut") {
                    operator.condition("ScaledOut", "True", "ScaledOut", "Scaled out");
                }
                if replicas < self.replicas {
                    self.scale_from_outside(replicas);
                }
            }
            _ if !grows => self.scaled(),
            Scaling::BacksUp => self.back_up(),
            Scaling::Restores => self.restore(),
            Scaling::Grows => {
                self.operator().scaling = Scaling::Configures;
                self.scale_from_outside(replicas);
            }
        }
    }

    fn begin_to_grow(&mut self, replicas: u32) {
        assert_eq!(replicas, self.replicas + 1, "under writes the first of several would stop with 1062");
        let (ready, next, name) = (self.is_ready(), self.replicas, self.temporary());
        let stale = self.members.get(&next).is_some_and(|member| member.has_claim);
        let operator = self.operator();
        let closed = ["Updated", "ReplicationConfigured", "PrimarySwitched", "StorageResized"];
        let closed = closed.into_iter().find(|name| operator.denies(name));
        assert!(ready && closed.is_none(), "the set would grow without a copy: ready {ready}, {closed:?}");
        if stale || operator.spec["replication"]["replica"]["bootstrapFrom"].is_null() {
            let message = "Scale out error: storage PVCs already exist";
            operator.condition("ScaledOut", "False", "ScaleOutError", message);
            operator.condition("Ready", "False", "ScaleOutError", message);
            return;
        }
        operator.condition("ScaledOut", "False", "ScalingOut", "Scaling out");
        operator.condition("Ready", "False", "ScalingOut", "Scaling out");
        operator.status["scaleOutInitialIndex"] = json!(next);
        operator.physical_backups.push(backup(&name, "False", "JobRunning", "Running"));
        operator.scaling = Scaling::BacksUp;
    }

    fn back_up(&mut self) {
        let (name, left) = (self.temporary(), self.volumes.others.iter().any(|it| it["metadata"]["name"] == self.temporary()));
        assert!(!left, "its node has no room for the backup's claim");
        self.volumes.others.push(claim(&name, &json!({})));
        let operator = self.operator();
        let fails = operator.backup_fails;
        // A failed one is Complete, too.
        let (reason, message) = if fails { ("JobFailed", "Failed") } else { ("JobComplete", "Success") };
        operator.physical_backups = vec![backup(&name, "True", reason, message)];
        operator.scaling = Scaling::Restores;
    }

    fn restore(&mut self) {
        if self.operator().backup_fails {
            return;
        }
        let next = self.replicas;
        if self.members.contains_key(&next) {
            let member = self.member(next);
            assert!(!member.has_claim, "it is asked before it begins");
            (member.has_claim, member.claims_remade) = (true, member.claims_remade + 1);
        } else {
            self.add_member(next);
        }
        self.as_replication().copy(next, 1);
        self.operator().scaling = Scaling::Grows;
    }

    fn configure(&mut self) {
        let (newest, primary) = (self.replicas - 1, self.operator().status["currentPrimaryPodIndex"].as_u64().unwrap());
        let primary = u32::try_from(primary).unwrap();
        if !self.engine.runs(newest) {
            return;
        }
        if let Engine::Gtid(replication) = &mut self.engine {
            replication.server(newest).read_only = true;
            replication.follow(newest, primary);
            replication.start_thread(newest);
        }
        self.scaled();
    }

    /// It is done, or called off.
    fn scaled(&mut self) {
        let operator = self.operator();
        operator.status.as_object_mut().unwrap().remove("scaleOutInitialIndex");
        operator.physical_backups.clear();
        operator.condition("ScaledOut", "True", "ScaledOut", "Scaled out");
        operator.scaling = Scaling::Rests;
    }
}

fn backup(name: &str, holds: &str, reason: &str, message: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "creationTimestamp": "2026-01-02T03:05:00Z" },
        "spec": { "mariaDbRef": { "name": "db" } },
        "status": { "conditions": [
            { "type": "Complete", "status": holds, "reason": reason, "message": message, "lastTransitionTime": "2026-01-02T03:05:00Z" },
        ] },
    })
}
