//! The file that an embedded twin keeps its state in: SQLite, shared by every process of the
//! machine. One thread a handle owns the connection and runs all requests that are waiting in one
//! transaction, so that thousands of verbs a second go through; whatever is killed, the file is whole.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::anyhow;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::{Error, Kind, Result};

/// Requests that share a transaction: bounds how long others wait for the lock.
const TOGETHER: usize = 256;

/// What the tables look like; a file of another version is refused.
const VERSION: i64 = 1;

/// Gets the transaction, or why there is none.
type Request = Box<dyn FnOnce(Outcome<&Transaction<'_>>) -> Reply + Send>;
/// Answers the caller once the transaction is known to be in the file, or not.
type Reply = Box<dyn FnOnce(Outcome<()>) + Send>;
type Outcome<T> = std::result::Result<T, Failed>;
/// One failure may have to be told to many.
type Failed = (Kind, Arc<str>);

/// Another process may be in the middle of a large transaction.
const PATIENCE: Duration = Duration::from_secs(60);

/// The clock of the one machine that all share.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

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
        let failed = |error: rusqlite::Error| match kind(&error) {
            Kind::Corrupt => {
                let why = "delete it: what it holds is found again from what lies under the root";
                Error::new(Kind::Corrupt, doing(), anyhow!(error).context(why))
            }
            kind => Error::new(kind, doing(), error),
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::new(Kind::Config, doing(), error))?;
        }
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        write_ahead(&connection).map_err(failed)?;
        // The file survives any process; only a power cut can take the last transactions, and what
        // they held is rebuilt.
        connection.pragma_update(None, "synchronous", "normal").map_err(failed)?;
        let version = prepare(&mut connection, schema).map_err(failed)?;
        if version != VERSION {
            let why = anyhow!(
                "it is of version {version} and this program keeps version {VERSION}: finish its runs with the \
                 program that made it, or delete it"
            );
            return Err(Error::new(Kind::Config, doing(), why));
        }
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
        let gone = || Error::new(Kind::Transient, what(), anyhow!("the file's thread is gone"));
        let (send, answer) = oneshot::channel();
        let request: Request = Box::new(move |transaction| {
            let result = transaction.and_then(|transaction| apart(transaction, verb));
            Box::new(move |committed| {
                // Nobody waits any more when the caller was cancelled; the verb has happened all the same.
                let _ = send.send(committed.and(result));
            })
        });
        self.requests.send(request).await.map_err(|_| gone())?;
        let result = answer.await.map_err(|_| gone())?;
        result.map_err(|(kind, error)| Error::new(kind, what(), anyhow!("{error}")))
    }

    /// Like [`File::run`] for those who can't wait: destructors.
    pub fn run_later(&self, verb: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let request: Request = Box::new(move |transaction| {
            let _ = transaction.and_then(|transaction| apart(transaction, verb));
            Box::new(|_| {})
        });
        if let Err(mpsc::error::TrySendError::Full(request)) = self.requests.try_send(request) {
            tracing::debug!(file = &*self.name, "too busy to hand back at once; the lease will run out");
            drop(request);
        }
    }
}

/// Of several processes that make the file at once all but one are refused, without waiting: SQLite's
/// time-out does not hold for this.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begun.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            made => return made,
        }
    }
}

/// Brings the tables about and returns the file's version.
fn prepare(connection: &mut Connection, schema: &str) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != 0 && version != VERSION {
        return Ok(version);
    }
    // Of a file that is there already, what an earlier program of this version did not keep yet.
    transaction.execute_batch(schema)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(VERSION)
}

fn serve(mut connection: Connection, mut queue: mpsc::Receiver<Request>) {
    let mut batch = Vec::with_capacity(TOGETHER);
    while queue.blocking_recv_many(&mut batch, TOGETHER) > 0 {
        let mut replies = Vec::with_capacity(batch.len());
        let committed = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => {
                replies.extend(batch.drain(..).map(|request| request(Ok(&transaction))));
                transaction.commit().map_err(|error| failed(&error))
            }
            Err(error) => {
                let why = failed(&error);
                replies.extend(batch.drain(..).map(|request| request(Err(why.clone()))));
                Err(why)
            }
        };
        for reply in replies {
            reply(committed.clone());
        }
    }
}

/// Runs one verb so that it leaves nothing behind if it fails, and its neighbours do not notice.
fn apart<T>(
    transaction: &Transaction<'_>,
    verb: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> Outcome<T> {
    let tell = |sql| transaction.prepare_cached(sql)?.execute([]).map(drop);
    tell("SAVEPOINT verb").map_err(|error: rusqlite::Error| failed(&error))?;
    let result = match catch_unwind(AssertUnwindSafe(|| verb(transaction))) {
        Ok(result) => result.map_err(|error| failed(&error)),
        Err(_) => Err((Kind::Corrupt, "it panicked".into())),
    };
    if result.is_err() {
        tell("ROLLBACK TO verb").map_err(|error| failed(&error))?;
    }
    tell("RELEASE verb").map_err(|error| failed(&error))?;
    result
}

fn failed(error: &rusqlite::Error) -> Failed {
    (kind(error), error.to_string().into())
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

#[cfg(test)]
mod tests;
