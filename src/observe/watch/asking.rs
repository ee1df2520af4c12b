//! One pod that is asked again and again: a session as long as there are few, an exec per look when there are many.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::backoff::Backoff;
use crate::api::script::LOADER;
use crate::api::session::Session;
use crate::api::watch::Watcher;
use crate::api::{Api, Password, PodRef};
use crate::model::fact::Why;
use crate::model::kubernetes::Layout;
use crate::observe::probe::{self, END, Looks, Sample};
use crate::observe::{Depth, look};

/// How often, and how.
#[derive(Clone)]
pub enum Pace {
    /// A session that stays open; so long from one sample to the next.
    Session(Duration),
    /// An exec for each look, when there is a permit; so long from one look to the next.
    Looks { every: Duration, permits: Arc<Semaphore> },
}

/// A pod that is being asked. Dropping it ends its session.
pub struct Asking {
    last: Arc<Mutex<Option<Sample>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asking {
    #[must_use]
    pub fn start(watcher: &Watcher, pod: PodRef, layout: &Layout, depth: Depth, pace: Pace) -> Self {
        let last = Arc::new(Mutex::new(None));
        let looks = if matches!(pace, Pace::Session(_)) { Looks::Session } else { Looks::Once };
        let asker = Asker {
            watcher: watcher.clone(),
            script: probe::script_with(layout, looks, watcher.api.password().map(Password::reveal)).into_bytes(),
            pod,
            depth,
            last: Arc::clone(&last),
        };
        let task = tokio::spawn(async move {
            match pace {
                Pace::Session(every) => asker.sessions(every).await,
                Pace::Looks { every, permits } => asker.looks(every, &permits).await,
            }
        });
        Self { last, task }
    }

    /// The newest sample; `None`: there is none yet.
    #[must_use]
    pub fn last(&self) -> Option<Sample> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Asker {
    watcher: Watcher,
    pod: PodRef,
    script: Vec<u8>,
    depth: Depth,
    last: Arc<Mutex<Option<Sample>>>,
}

impl Asker {
    /// Sessions, one after the other; a pod that cannot be asked is unknown for the reason of the last attempt.
    async fn sessions(&self, every: Duration) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        let mut failures = 0;
        loop {
            let mut samples = 0_u64;
            let why = self.session(every, &mut samples).await;
            if samples > 0 {
                backoff.reset();
                failures = 0;
            }
            // While the API server cannot be reached, what was seen last stays: the pod is not to blame.
            if self.watcher.reach.wait().await {
                continue;
            }
            failures += 1;
            // A session that broke may only have ended with its container or its connection: the next attempt tells.
            if failures == 1 && samples > 0 && !matches!(why, Why::TimedOut(_)) {
                continue;
            }
            self.tell(Sample::unknown(&why));
            sleep(backoff.pause()).await;
        }
    }

    /// One session, up to its end and why it ended.
    async fn session(&self, every: Duration, samples: &mut u64) -> Why {
        let limit = self.depth.pod_timeout;
        let api: &Api = &self.watcher.api;
        let mut session = match Session::open(api, &self.pod, &LOADER, &self.script, END, limit).await {
            Ok(session) => session,
            Err(why) => return why,
        };
        loop {
            let (begun, asked) = (Instant::now(), self.depth.clock.now());
            match session.sample(limit).await {
                Ok(mut sample) => {
                    sample.extend_from_slice(END.as_bytes());
                    self.tell(probe::read(&sample, asked));
                    // What the shell complains about would pile up.
                    session.take_stderr();
                    *samples += 1;
                }
                Err(why) => return why,
            }
            sleep_until(begun + every).await;
        }
    }

    async fn looks(&self, every: Duration, permits: &Semaphore) {
        loop {
            let begun = Instant::now();
            {
                // A closed semaphore would only mean no limit.
                let _permit = permits.acquire().await.ok();
                let sample = look(&self.watcher.api, &self.pod, &self.script, self.depth).await;
                let failed = matches!(sample.server.known(), Err(Why::TimedOut(_) | Why::Unreachable(_) | Why::Failed(_)));
                if !(failed && self.watcher.reach.wait().await) {
                    self.tell(sample);
                }
            }
            sleep_until(begun + every).await;
        }
    }

    fn tell(&self, sample: Sample) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
        self.watcher.changed.notify_one();
    }
}
