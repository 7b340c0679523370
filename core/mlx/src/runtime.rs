//! A model on a thread of its own, and the handle through which the rest of a program uses it.
//!
//! MLX binds streams and unevaluated arrays to threads, so one thread loads the model and runs every
//! pass. Requests queue up and run one after the other; only plain data crosses the channels.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::generate::{Event, Request, generate};
use crate::{GenerateError, LoadError, Model, ModelConfig};

type Answer = Result<Event, GenerateError>;

struct Job {
    request: Request,
    events: Sender<Answer>,
    cancelled: Arc<AtomicBool>,
}

/// What is known about a loaded model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Dimensions and settings.
    pub config: ModelConfig,
    /// Number of stored values; packed ones count per word.
    pub parameters: usize,
    /// End-of-sequence ids, see [`crate::end_ids`].
    pub end_ids: Vec<u32>,
    /// The folder it was loaded from.
    pub folder: PathBuf,
}

/// A loaded model. Dropping it cancels what runs and what waits, and frees the model.
#[derive(Debug)]
pub struct Runtime {
    info: ModelInfo,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    closing: Arc<AtomicBool>,
}

impl Runtime {
    /// Loads a checkpoint in Hugging Face layout. Returns when its weights are in memory.
    pub fn load(folder: &Path) -> Result<Self, LoadError> {
        let (loaded, wait) = mpsc::sync_channel(1);
        let (jobs, queue) = mpsc::channel::<Job>();
        let folder = folder.to_path_buf();
        let closing = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&closing);
        let work = move || match open(&folder) {
            Ok((model, info)) => {
                if loaded.send(Ok(info)).is_ok() {
                    serve(&model, &queue, &closed);
                }
            }
            // Nobody waits any more when this fails.
            Err(error) => drop(loaded.send(Err(error))),
        };
        let thread = thread::Builder::new()
            .name("toolglot-mlx".into())
            .spawn(work)
            .map_err(|error| LoadError::Thread(error.to_string()))?;
        let info = wait.recv().map_err(|_| LoadError::Thread("it died while loading".into()))??;
        Ok(Self { info, jobs: Some(jobs), thread: Some(thread), closing })
    }

    /// What is known about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Queues a request. Its events come through the returned iterator.
    pub fn generate(&self, request: Request) -> Generation {
        // Unbounded, so that a listener who falls asleep can never block the model; what can queue up
        // is bounded by the model's context.
        let (events, receiver) = mpsc::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        if let Some(jobs) = &self.jobs {
            // If the thread is gone the job comes back and is dropped; the iterator then reports it.
            let _ = jobs.send(Job { request, events, cancelled: Arc::clone(&cancelled) });
        }
        Generation { receiver, cancelled, over: false }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported to whoever listened.
            let _ = thread.join();
        }
    }
}

fn open(folder: &Path) -> Result<(Model, ModelInfo), LoadError> {
    let model = Model::load(folder)?;
    let info = ModelInfo {
        config: model.config().clone(),
        parameters: model.parameters(),
        end_ids: crate::end_ids(folder)?,
        folder: folder.to_path_buf(),
    };
    Ok((model, info))
}

fn serve(model: &Model, queue: &Receiver<Job>, closing: &AtomicBool) {
    for Job { request, events, cancelled } in queue {
        let mut emit = |event: Event| {
            let end = matches!(event, Event::Finished(_));
            let heard = events.send(Ok(event)).is_ok();
            let wanted = !cancelled.load(Ordering::Relaxed) && !closing.load(Ordering::Relaxed);
            heard && (end || wanted)
        };
        if let Err(error) = generate(model, request, &mut emit) {
            // Nobody listens any more when this fails.
            let _ = events.send(Err(error));
        }
    }
}

/// The events of one generation: an iterator that blocks until the next one and ends after
/// [`Event::Finished`] or an error. Dropping it cancels the generation.
#[derive(Debug)]
pub struct Generation {
    receiver: Receiver<Answer>,
    cancelled: Arc<AtomicBool>,
    over: bool,
}

impl Generation {
    /// Asks the generation to end; it does so after the current token, as
    /// [`Cancelled`](toolglot_sampler::FinishReason::Cancelled). Events up to then still come.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Iterator for Generation {
    type Item = Answer;

    fn next(&mut self) -> Option<Answer> {
        if self.over {
            return None;
        }
        let answer = self.receiver.recv().unwrap_or(Err(GenerateError::ThreadGone));
        self.over = matches!(answer, Err(_) | Ok(Event::Finished(_)));
        Some(answer)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.cancel();
    }
}
