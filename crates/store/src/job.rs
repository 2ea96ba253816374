//! Work on its way to a store thread: run inside the transaction, answered after the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::figures::Counters;
use crate::{Error, Retry, Tx};

/// What a store thread does with one piece of work.
pub(crate) trait Work: Send {
    /// Runs it; whether its changes are to be kept.
    fn run(&mut self, tx: &mut Tx<'_>) -> Outcome;
    /// Answers the caller once the transaction's fate is known.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

pub(crate) type Job = Box<dyn Work>;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Keep,
    RollBack,
    Again,
}

pub(crate) struct Task<F, T, E> {
    work: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Task<F, T, E> {
    pub(crate) fn new(work: F, reply: oneshot::Sender<Result<T, E>>) -> Self {
        Self {
            work,
            result: None,
            reply,
        }
    }
}

impl<F, T, E> Work for Task<F, T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Retry + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Outcome {
        // A panic rolls back like an error: the thread serves everybody else too.
        let result = catch_unwind(AssertUnwindSafe(|| (self.work)(tx)))
            .unwrap_or_else(|_| Err(E::from(Error::Panicked)));
        let outcome = match &result {
            Ok(_) => Outcome::Keep,
            Err(error) if error.may_retry() => Outcome::Again,
            Err(_) => Outcome::RollBack,
        };
        self.result = Some(result);
        outcome
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let result = match (self.result, committed) {
            // A failed transaction keeps its own error, whatever the others' commit did.
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(E::from(error)),
            (Some(result), Ok(())) => result,
            (None, Ok(())) => Err(E::from(Error::Stopped)),
        };
        // Nobody listens when the caller hung up; the work is done all the same.
        drop(self.reply.send(result));
    }
}

/// A queue that any number of threads take from.
#[derive(Clone)]
pub(crate) struct Queue(mpsc::Sender<Job>, pub(crate) Arc<Counters>);

/// The threads' end of a [`Queue`].
#[derive(Clone)]
pub(crate) struct Inbox(Arc<Mutex<mpsc::Receiver<Job>>>, pub(crate) Arc<Counters>);

pub(crate) fn queue() -> (Queue, Inbox) {
    let (sender, receiver) = mpsc::channel();
    let counters = Arc::new(Counters::default());
    (
        Queue(sender, Arc::clone(&counters)),
        Inbox(Arc::new(Mutex::new(receiver)), counters),
    )
}

impl Queue {
    pub(crate) fn send(&self, job: Job) -> Result<(), Error> {
        self.1.queued();
        self.0.send(job).map_err(|_| Error::Stopped)
    }
}

impl Inbox {
    /// Waits for work, then takes what else is there, up to `most`. None once every sender is gone.
    pub(crate) fn take(&self, most: usize) -> Option<Vec<Job>> {
        let receiver = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut jobs = vec![receiver.recv().ok()?];
        while jobs.len() < most {
            match receiver.try_recv() {
                Ok(job) => jobs.push(job),
                Err(_) => break,
            }
        }
        self.1.taken(jobs.len());
        Some(jobs)
    }

    /// Adds what comes within `time` to what was taken, until there are `enough`.
    pub(crate) fn linger(&self, jobs: &mut Vec<Job>, enough: usize, time: Duration) {
        let receiver = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let until = Instant::now() + time;
        while jobs.len() < enough {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(job) = receiver.recv_timeout(left) else {
                break;
            };
            self.1.taken(1);
            jobs.push(job);
        }
    }
}
