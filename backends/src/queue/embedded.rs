//! The queue of one machine: a table of messages in a file, shared by all processes. A delivery has
//! a lease; when its process is gone it comes back at once.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Transaction, params};
use tokio::sync::Notify;

use super::{Delivery, Lane, Queue, Receiver, Settle};
use crate::{
    Kind, Result,
    embedded::{File, now_ms},
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lane TEXT NOT NULL,
        body BLOB NOT NULL,
        -- 0: waits. Else the ticket of the delivery that is out.
        ticket INTEGER NOT NULL DEFAULT 0,
        until_ms INTEGER NOT NULL DEFAULT 0,
        holder TEXT NOT NULL DEFAULT '',
        deliveries INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX IF NOT EXISTS waiting ON message (lane, ticket, deliveries DESC, id);
    CREATE INDEX IF NOT EXISTS out ON message (until_ms) WHERE ticket != 0;
";

/// From receiving to the first extension lies far less.
const LEASE: Duration = Duration::from_secs(60);
/// How often a receiver looks, the longer nothing comes the more seldom: at last four times a second, which costs a
/// third of a percent of a core.
const LOOK: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));
/// How often a receiver looks for deliveries whose process is gone.
const LOOK_FOR_DEAD: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct EmbeddedQueue {
    file: File,
    /// Wakes receivers of this process; those of others look by themselves.
    news: Arc<Notify>,
    lease: Duration,
}

impl EmbeddedQueue {
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with_lease(path, LEASE)
    }

    pub fn open_with_lease(path: &Path, lease: Duration) -> Result<Self> {
        Ok(Self { file: File::open(path, SCHEMA)?, news: Arc::new(Notify::new()), lease })
    }
}

#[async_trait]
impl Queue for EmbeddedQueue {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        let publish = move |transaction: &Transaction<'_>| {
            let mut insert = transaction.prepare_cached("INSERT INTO message (lane, body) VALUES (?, ?)")?;
            messages.iter().try_for_each(|body| insert.execute(params![lane.name(), body]).map(drop))
        };
        self.file.run("publishing", publish).await?;
        self.news.notify_waiters();
        Ok(())
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        let out = Arc::new(Out { count: AtomicUsize::new(0), settled: Notify::new() });
        let last_look = tokio::time::Instant::now() - LOOK_FOR_DEAD;
        Ok(Box::new(EmbeddedReceiver {
            queue: self.clone(),
            lane,
            slots,
            out,
            receiver: rand::random(),
            last_look,
        }))
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        let count = move |transaction: &Transaction<'_>| {
            let mut count =
                transaction.prepare_cached("SELECT count(*) FROM message WHERE lane = ? AND ticket = 0")?;
            count.query_row([lane.name()], |row| row.get::<_, i64>(0)).map(|n| n as u64)
        };
        self.file.run("counting", count).await
    }

    async fn purge(&self, lane: Lane) -> Result<()> {
        let purge = move |transaction: &Transaction<'_>| {
            transaction.execute("DELETE FROM message WHERE lane = ? AND ticket = 0", [lane.name()]).map(drop)
        };
        self.file.run("purging", purge).await
    }
}

/// Deliveries of one receiver that are not settled.
struct Out {
    count: AtomicUsize,
    settled: Notify,
}

struct EmbeddedReceiver {
    queue: EmbeddedQueue,
    lane: Lane,
    slots: usize,
    out: Arc<Out>,
    /// Names this receiver in the table, beside its process.
    receiver: u32,
    last_look: tokio::time::Instant,
}

#[async_trait]
impl Receiver for EmbeddedReceiver {
    async fn next(&mut self) -> Result<Delivery> {
        let mut pause = LOOK.0;
        loop {
            let (queue, out) = (self.queue.clone(), self.out.clone());
            let settled = out.settled.notified();
            if out.count.load(Ordering::Acquire) >= self.slots {
                settled.await;
                continue;
            }
            let news = queue.news.notified();
            match self.look().await {
                Ok(Some(delivery)) => return Ok(delivery),
                Ok(None) => tokio::select! {
                    () = news => pause = LOOK.0,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LOOK.1),
                },
                // Locked for very long, or no room left on the disk: both may pass.
                Err(error) if matches!(error.kind, Kind::Transient | Kind::Full) => {
                    let error = error.told();
                    tracing::warn!(error, "receiving goes on in a moment");
                    tokio::time::sleep(LOOK_FOR_DEAD).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for EmbeddedReceiver {
    fn drop(&mut self) {
        let holder = holder(self.receiver);
        self.queue.file.run_later(move |transaction| take_back_from(transaction, &holder));
        self.queue.news.notify_waiters();
    }
}

impl EmbeddedReceiver {
    async fn look(&mut self) -> Result<Option<Delivery>> {
        if self.last_look.elapsed() >= LOOK_FOR_DEAD {
            self.last_look = tokio::time::Instant::now();
            self.queue.file.run("looking for the dead", take_back_from_the_dead).await?;
        }
        self.take().await
    }
}

impl EmbeddedReceiver {
    /// Takes a message. The delivery is made inside the transaction's closure, so that a cancelled
    /// call drops it, and dropping hands it back.
    async fn take(&self) -> Result<Option<Delivery>> {
        let (lane, lease) = (self.lane, self.queue.lease);
        let holder = holder(self.receiver);
        let ticket = i64::from(rand::random::<u32>()) << 20 | 1;
        let (queue, out) = (self.queue.clone(), self.out.clone());
        let take = move |transaction: &Transaction<'_>| {
            let mut first = transaction.prepare_cached(
                "SELECT id, body, deliveries FROM message WHERE lane = ? AND ticket = 0
                 ORDER BY deliveries DESC, id LIMIT 1",
            )?;
            let found = first
                .query_row([lane.name()], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, u32>(2)?))
                })
                .optional()?;
            let Some((id, body, deliveries)) = found else { return Ok(None) };
            let mut take = transaction.prepare_cached(
                "UPDATE message SET ticket = ?, until_ms = ?, holder = ?, deliveries = deliveries + 1 WHERE id = ?",
            )?;
            take.execute(params![ticket, now_ms() + lease.as_millis() as i64, holder, id])?;
            out.count.fetch_add(1, Ordering::AcqRel);
            let settle = EmbeddedSettle { queue, out, id, ticket, open: true };
            Ok(Some(Delivery::new(body, deliveries > 0, Box::new(settle))))
        };
        self.queue.file.run("receiving", take).await
    }
}

struct EmbeddedSettle {
    queue: EmbeddedQueue,
    out: Arc<Out>,
    id: i64,
    ticket: i64,
    open: bool,
}

impl EmbeddedSettle {
    /// Changes the message if it is still ours.
    async fn change(&mut self, sql: &'static str) -> Result<bool> {
        let (id, ticket) = (self.id, self.ticket);
        let change = move |transaction: &Transaction<'_>| {
            transaction.prepare_cached(sql)?.execute(params![id, ticket]).map(|changed| changed > 0)
        };
        let changed = self.queue.file.run("settling", change).await?;
        self.open = false;
        Ok(changed)
    }
}

const HAND_BACK: &str =
    "UPDATE message SET ticket = 0, until_ms = 0, holder = '' WHERE id = ? AND ticket = ?";

#[async_trait]
impl Settle for EmbeddedSettle {
    async fn done(mut self: Box<Self>) -> Result<bool> {
        self.change("DELETE FROM message WHERE id = ? AND ticket = ?").await
    }

    async fn hand_back(mut self: Box<Self>) -> Result<bool> {
        let changed = self.change(HAND_BACK).await?;
        self.queue.news.notify_waiters();
        Ok(changed)
    }

    async fn extend(&self, lease: Duration) -> Result<bool> {
        let (id, ticket) = (self.id, self.ticket);
        let extend = move |transaction: &Transaction<'_>| {
            let until_ms = now_ms() + lease.as_millis() as i64;
            transaction
                .prepare_cached("UPDATE message SET until_ms = ? WHERE id = ? AND ticket = ?")?
                .execute(params![until_ms, id, ticket])
                .map(|changed| changed > 0)
        };
        self.queue.file.run("extending", extend).await
    }
}

impl Drop for EmbeddedSettle {
    fn drop(&mut self) {
        self.out.count.fetch_sub(1, Ordering::AcqRel);
        self.out.settled.notify_waiters();
        if self.open {
            let (id, ticket) = (self.id, self.ticket);
            self.queue.file.run_later(move |transaction| {
                transaction.prepare_cached(HAND_BACK)?.execute(params![id, ticket]).map(drop)
            });
            self.queue.news.notify_waiters();
        }
    }
}

/// Deliveries whose lease has run out, or whose process does not live any more, wait again.
fn take_back_from_the_dead(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let expired = "UPDATE message SET ticket = 0, holder = '' WHERE ticket != 0 AND until_ms < ?";
    transaction.prepare_cached(expired)?.execute([now_ms()])?;
    let holders: Vec<String> = transaction
        .prepare_cached("SELECT DISTINCT holder FROM message WHERE ticket != 0")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    holders.iter().filter(|holder| !lives(holder)).try_for_each(|holder| take_back_from(transaction, holder))
}

fn take_back_from(transaction: &Transaction<'_>, holder: &str) -> rusqlite::Result<()> {
    let back = "UPDATE message SET ticket = 0, until_ms = 0, holder = '' WHERE holder = ? AND ticket != 0";
    transaction.prepare_cached(back)?.execute([holder]).map(drop)
}

/// A process by its number and the time of its start, since numbers are used again.
fn holder(receiver: u32) -> String {
    let pid = std::process::id();
    format!("{pid}/{}/{receiver}", start_time(pid).unwrap_or_default())
}

fn lives(holder: &str) -> bool {
    let mut parts = holder.split('/');
    let (Some(pid), Some(started)) = (parts.next().and_then(|pid| pid.parse().ok()), parts.next()) else {
        return false;
    };
    start_time(pid).as_deref() == Some(started)
}

/// The 22nd field of `/proc/<pid>/stat`; the name before it may hold anything but ends with `)`.
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace();
    // A zombie waits only for its parent: its work is over.
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests;
