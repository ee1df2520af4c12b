//! Whether the API server can be reached at all: asked when something broke, and again and again while it cannot.

use std::sync::Arc;
use std::time::Duration;

use kube::core::Request;
use kube::core::params::GetParams;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Kind;
use crate::model::fact::Lost;
use crate::process::Clock;

use super::backoff::Backoff;
use super::trouble::Trouble;
use super::{Api, Ask};

/// How long the API server may take to say its version.
const LIMIT: Duration = Duration::from_secs(3);
/// An answer this young is not asked for again.
const FRESH: Duration = Duration::from_millis(500);

/// What is known about the way to the API server. Clones are one.
#[derive(Clone)]
pub struct Reach {
    api: Api,
    clock: Clock,
    lost: watch::Sender<Option<Lost>>,
    /// When it last answered; held while it is asked, so that many who notice the same ask once.
    answered: Arc<Mutex<Option<Instant>>>,
}

impl Reach {
    #[must_use]
    pub fn new(api: &Api, clock: Clock) -> Self {
        Self { api: api.clone(), clock, lost: watch::Sender::new(None), answered: Arc::default() }
    }

    /// `None`: nothing speaks against it.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        self.lost.borrow().clone()
    }

    /// Follows the answer of [`Self::lost`].
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Option<Lost>> {
        self.lost.subscribe()
    }

    /// Something broke on the way: was it the way? Comes back when the API server answers, and says whether it had to wait.
    pub async fn wait(&self) -> bool {
        let mut answered = self.answered.lock().await;
        if answered.is_some_and(|at| at.elapsed() < FRESH) {
            return false;
        }
        let since = self.clock.now();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
        let mut waited = false;
        while let Err(trouble) = self.ask().await {
            waited = true;
            self.lost.send_if_modified(|lost| {
                let news = Lost { since: lost.as_ref().map_or(since, |lost| lost.since), why: trouble.message };
                let changed = lost.as_ref() != Some(&news);
                *lost = Some(news);
                changed
            });
            sleep(backoff.pause()).await;
        }
        *answered = Some(Instant::now());
        self.lost.send_if_modified(|lost| lost.take().is_some());
        waited
    }

    /// Any answer of the server itself will do, a refusal too; one of something in between that stands for it will not.
    async fn ask(&self) -> Result<(), Trouble> {
        let ask = Ask { verb: "get", group: "/version", resource: "version", namespace: None, name: None };
        let request = Request::new("").get("version", &GetParams::default());
        let request =
            request.map_err(|problem| Trouble::from_kube(&ask, &self.api.server, kube::Error::BuildRequest(problem)))?;
        self.api.fresh_credential().await;
        let limit = self.api.request_timeout.map_or(LIMIT, |limit| limit.min(LIMIT));
        let answer = timeout(limit, self.api.client.request_text(request)).await;
        let answer = answer.map_err(|_| Trouble::timed_out(&ask, &self.api.server, limit))?;
        match answer.map_err(|problem| Trouble::from_kube(&ask, &self.api.server, problem)) {
            Err(trouble) if trouble.kind == Kind::Unreachable || trouble.unsent => Err(trouble),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
