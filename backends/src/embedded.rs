//! The file that an embedded twin keeps its state in: SQLite, shared by every process of the
//! machine. One thread a handle owns the connection and runs all requests that are waiting in one
//! transaction, so that thousands of verbs a second go through; whatever is killed, the file is whole.

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::{Error, Kind, Result};

/// Requests that share a transaction: bounds how long others wait for the lock.
const TOGETHER: usize = 256;

type Request = Box<dyn FnOnce(&Transaction<'_>) -> Reply + Send>;
/// Answers the caller once the transaction is known to be in the file, or not.
type Reply = Box<dyn FnOnce(std::result::Result<(), String>) + Send>;

#[derive(Clone)]
pub struct File {
    requests: mpsc::Sender<Request>,
    name: Arc<str>,
}

impl File {
    /// Opens or makes the file and brings `schema` about.
    pub fn open(path: &Path, schema: &str) -> Result<Self> {
        let name: Arc<str> = path.display().to_string().into();
        let doing = || format!("opening {name}");
        let failed = |error: rusqlite::Error| Error::new(kind(&error), doing(), error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::new(Kind::Config, doing(), error))?;
        }
        let connection = Connection::open(path).map_err(failed)?;
        // A minute: another process may be in the middle of a large transaction.
        connection.busy_timeout(Duration::from_secs(60)).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        // The file survives any process; only a power cut can take the last transactions, and what
        // they held is rebuilt.
        connection.pragma_update(None, "synchronous", "normal").map_err(failed)?;
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {schema} COMMIT;")).map_err(failed)?;
        let (requests, queue) = mpsc::channel(4 * TOGETHER);
        std::thread::Builder::new()
            .name("embedded".into())
            .spawn(move || serve(connection, queue))
            .map_err(|error| Error::new(Kind::Full, doing(), error))?;
        Ok(Self { requests, name })
    }

    /// Runs `verb` inside a transaction and returns once it is committed.
    pub async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        verb: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let what = || format!("{doing} in {}", self.name);
        let gone = || Error::new(Kind::Transient, what(), anyhow::anyhow!("the file's thread is gone"));
        let (send, answer) = oneshot::channel();
        let request: Request = Box::new(move |transaction| {
            let result = verb(transaction);
            Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result.map_err(|error| (kind(&error), error.to_string())),
                    Err(error) => Err((Kind::Transient, error)),
                };
                // Nobody waits any more when the caller was cancelled; the verb has happened all the same.
                let _ = send.send(result);
            })
        });
        self.requests.send(request).await.map_err(|_| gone())?;
        let result = answer.await.map_err(|_| gone())?;
        result.map_err(|(kind, error)| Error::new(kind, what(), anyhow::anyhow!(error)))
    }

    /// Like [`File::run`] for those who can't wait: destructors.
    pub fn run_later(&self, verb: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let request: Request = Box::new(move |transaction| {
            let _ = verb(transaction);
            Box::new(|_| {})
        });
        if let Err(mpsc::error::TrySendError::Full(request)) = self.requests.try_send(request) {
            tracing::debug!(file = &*self.name, "too busy to hand back at once; the lease will run out");
            drop(request);
        }
    }
}

fn serve(mut connection: Connection, mut queue: mpsc::Receiver<Request>) {
    let mut batch = Vec::with_capacity(TOGETHER);
    while queue.blocking_recv_many(&mut batch, TOGETHER) > 0 {
        let mut replies = Vec::with_capacity(batch.len());
        let committed = (|| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // A verb that fails has changed nothing that matters: each is one statement that may
            // fail, or reads before it writes.
            replies.extend(batch.drain(..).map(|request| request(&transaction)));
            transaction.commit()
        })();
        batch.clear();
        let committed = committed.map_err(|error: rusqlite::Error| error.to_string());
        for reply in replies {
            reply(committed.clone());
        }
    }
}

fn kind(error: &rusqlite::Error) -> Kind {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::OperationInterrupted) => Kind::Transient,
        Some(Code::DiskFull | Code::OutOfMemory) => Kind::Full,
        Some(Code::PermissionDenied | Code::ReadOnly | Code::CannotOpen) => Kind::Config,
        _ => Kind::Corrupt,
    }
}
