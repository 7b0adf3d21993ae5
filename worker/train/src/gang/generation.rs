//! The processes of one gang, from their start to the end of all.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::{Child, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use swath_proto::worker::ENDS_WITH;

use super::{
    seat::{ATTEMPT, HOST, KEPT, PORT, RANK, RANK_HERE, SIZE, SIZE_HERE},
    supervisor::Ranks,
    words::Word,
};
use crate::{Outcome, Progress, Result, TrainError, error::Kind};

/// A rank that lives says so every second.
const SILENT: Duration = Duration::from_secs(10);
/// It loads libraries first.
const SILENT_AT_START: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// For what the others have to say, once one has lost them: that one of them is gone is seldom the whole story.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Words that wait to be heard; whoever says more waits too.
const WORDS: usize = 1024;

pub(super) enum Ended {
    Outcome(Outcome),
    /// A rank is gone, and so the gang.
    Lost(Loss),
}

pub(super) struct Loss {
    pub why: String,
    /// It was a rank of this machine, and not one of others that took ours along.
    pub is_ours: bool,
}

/// What the ranks are to do.
pub(super) enum Order {
    GoOn,
    /// They agree on a step, write a checkpoint after it, and end.
    Stop,
    /// They end at once: why.
    End(String),
}

/// Where the ranks of this machine stand among all.
pub(super) struct Seats {
    /// Of this machine.
    pub first: u32,
    pub size: u32,
    /// Of the machine with the first of all.
    pub host: String,
    /// Of the store; 0 where the first of all is here, and has yet to open it.
    pub port: u16,
    /// Tells this generation from others.
    pub attempt: String,
}

impl Seats {
    /// All are here.
    pub fn alone(n: u32) -> Self {
        Self { first: 0, size: n, host: "127.0.0.1".into(), port: 0, attempt: String::new() }
    }
}

enum News {
    Said(Word),
    /// It says nothing any more.
    Over,
}

struct Member {
    child: Child,
    heard: Instant,
    has_spoken: bool,
    is_told_to_stop: bool,
    /// What it says has come of it.
    said: Option<Result<Outcome>>,
    /// Its process is over.
    status: Option<ExitStatus>,
}

pub(super) struct Generation<'a> {
    ranks: &'a Ranks<'a>,
    seats: Seats,
    members: Vec<Member>,
    sender: SyncSender<(usize, News)>,
    news: Receiver<(usize, News)>,
    /// Since when it is known that a rank is gone.
    lost: Option<Instant>,
}

impl<'a> Generation<'a> {
    pub(super) fn new(ranks: &'a Ranks<'a>, seats: Seats) -> Self {
        let (sender, news) = sync_channel(WORDS);
        Self { ranks, seats, members: Vec::new(), sender, news, lost: None }
    }

    /// `opened` is told the port of a store that was opened here; `order` is asked again and again.
    pub(super) fn run(
        &mut self,
        progress: &mut dyn FnMut(Progress),
        opened: &dyn Fn(u16),
        order: &dyn Fn() -> Order,
    ) -> Result<Ended> {
        match self.seats.port {
            0 => self.start()?,
            _ => (0..self.ranks.n).try_for_each(|_| self.start())?,
        }
        loop {
            let mut news = self.news.recv_timeout(LOOK_EVERY);
            // All that has been said is heard before anybody is held to be silent.
            while let Ok((rank, what)) = news {
                self.hear(rank, what, progress, opened)?;
                news = self.news.try_recv().map_err(|_| RecvTimeoutError::Timeout);
            }
            if let Some(outcome) = self.outcome() {
                return outcome.map(Ended::Outcome);
            }
            match order() {
                Order::GoOn => {}
                Order::Stop => self.tell_to_stop(),
                Order::End(why) => return Ok(Ended::Lost(Loss { why, is_ours: false })),
            }
            if let Some(why) = self.silent() {
                return Ok(Ended::Lost(Loss { why, is_ours: true }));
            }
            let all_are_over = self.members.iter().all(|member| member.status.is_some());
            if self.lost.is_some_and(|since| all_are_over || since.elapsed() > LAST_WORDS) {
                return Ok(Ended::Lost(self.why()));
            }
        }
    }

    fn hear(
        &mut self,
        at: usize,
        news: News,
        progress: &mut dyn FnMut(Progress),
        opened: &dyn Fn(u16),
    ) -> Result<()> {
        let member = &mut self.members[at];
        (member.heard, member.has_spoken) = (Instant::now(), true);
        match news {
            News::Said(Word::Alive) => {}
            News::Said(Word::Opened(port)) => {
                self.seats.port = port;
                opened(port);
                (1..self.ranks.n).try_for_each(|_| self.start())?;
            }
            // All ranks are at the same step.
            News::Said(Word::Progress(now)) if at == 0 => progress(now),
            News::Said(Word::Progress(_)) => {}
            News::Said(Word::Ended(outcome)) => member.said = Some(Ok(outcome)),
            News::Said(Word::Failed { kind, text }) => {
                member.said = Some(Err(TrainError::new(kind, text)));
            }
            News::Over => {
                // Its pipe is closed: it is over, or will be in a moment.
                let status = member.child.wait().map_err(|error| failed("waiting for", &error))?;
                member.status = Some(status);
                match &member.said {
                    Some(Ok(_)) => {}
                    Some(Err(error)) if !is_passing(error.kind) => {}
                    _ => self.lost = self.lost.or(Some(Instant::now())),
                }
            }
        }
        Ok(())
    }

    /// What the first rank says, once all have come to their end; or what would be the same another time.
    fn outcome(&mut self) -> Option<Result<Outcome>> {
        let broken = |member: &&mut Member| {
            member.said.as_ref().is_some_and(|said| said.as_ref().is_err_and(|error| !is_passing(error.kind)))
        };
        if let Some(member) = self.members.iter_mut().find(broken) {
            return member.said.take();
        }
        let all = self.members.len() == self.ranks.n as usize
            && self.members.iter().all(|member| matches!(member.said, Some(Ok(_))));
        self.members.first_mut().filter(|_| all)?.said.take()
    }

    /// Whose process was ended says more than who has lost it.
    fn why(&self) -> Loss {
        let ends = self.members.iter().zip(self.seats.first..).filter(|(member, _)| member.said.is_none());
        let ended = ends.filter_map(|(member, rank)| Some((rank, member.status?))).next();
        if let Some((rank, status)) = ended {
            let why = match (status.signal(), status.code()) {
                (Some(libc::SIGKILL), _) => {
                    format!("rank {rank} was killed (by hand, or since there was no memory left)")
                }
                (Some(signal), _) => format!("rank {rank} was ended by signal {signal}"),
                (None, code) => format!("rank {rank} has left with code {}", code.unwrap_or_default()),
            };
            return Loss { why, is_ours: true };
        }
        let mut said = self.members.iter().zip(self.seats.first..).filter_map(|(member, rank)| {
            member.said.as_ref()?.as_ref().err().map(|error| (error.kind == Kind::Gang, rank, error))
        });
        match said.by_ref().min_by_key(|(is_of_others, rank, _)| (*is_of_others, *rank)) {
            Some((is_of_others, rank, error)) => {
                let why = format!("rank {rank} says: {error}");
                Loss { why, is_ours: !is_of_others || self.seats.size == self.ranks.n }
            }
            None => Loss { why: "a rank is gone".into(), is_ours: true },
        }
    }

    /// Those that listen by now: one that says nothing yet would be ended by it.
    fn tell_to_stop(&mut self) {
        let untold =
            |member: &&mut Member| member.has_spoken && !member.is_told_to_stop && member.status.is_none();
        for member in self.members.iter_mut().filter(untold) {
            member.is_told_to_stop = true;
            // SAFETY: our own child, not yet waited for.
            unsafe { libc::kill(member.child.id() as libc::pid_t, libc::SIGTERM) };
        }
    }

    /// Who lives and does not say so stands still.
    fn silent(&self) -> Option<String> {
        self.members.iter().zip(self.seats.first..).find_map(|(member, rank)| {
            let patience = if member.has_spoken { SILENT } else { SILENT_AT_START };
            let silent =
                member.said.is_none() && member.status.is_none() && member.heard.elapsed() > patience;
            silent.then(|| {
                format!("rank {rank} stands still: nothing was heard of it for {} s", patience.as_secs())
            })
        })
    }

    /// The next rank.
    fn start(&mut self) -> Result<()> {
        let (at, seats) = (self.members.len(), &self.seats);
        let mut command = (self.ranks.command)();
        command
            .env(RANK, (seats.first + at as u32).to_string())
            .env(RANK_HERE, at.to_string())
            .env(SIZE, seats.size.to_string())
            .env(HOST, &seats.host)
            .env(PORT, seats.port.to_string())
            .env(ATTEMPT, &seats.attempt)
            .env_remove(KEPT)
            .env_remove(SIZE_HERE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if std::env::var_os(LOG_LEVEL).is_none() {
            // What c10d tells of a rank that is gone is told here, in fewer words.
            command.env(LOG_LEVEL, "ERROR");
        }
        // The thread that starts ranks is the one that waits for their end.
        command.env(ENDS_WITH, std::process::id().to_string());
        let mut child = command.spawn().map_err(|error| failed("starting", &error))?;
        let out = child.stdout.take();
        self.members.push(Member {
            child,
            heard: Instant::now(),
            has_spoken: false,
            is_told_to_stop: false,
            said: None,
            status: None,
        });
        if let Some(out) = out {
            let sender = self.sender.clone();
            let listening = thread::Builder::new().spawn(move || {
                let lines = BufReader::new(out).lines().map_while(std::result::Result::ok);
                let words = lines.filter_map(|line| serde_json::from_str(&line).ok()).map(News::Said);
                // Until nobody listens any more.
                let is_heard = |news| sender.send((at, news)).is_ok();
                let _ = words.chain([News::Over]).all(is_heard);
            });
            listening.map_err(|error| failed("listening to", &error))?;
        }
        Ok(())
    }
}

/// Nobody of it writes any more once it is dropped.
impl Drop for Generation<'_> {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.child.kill();
        }
        for member in &mut self.members {
            let _ = member.child.wait();
        }
    }
}

/// Whether another generation may fare better.
const fn is_passing(kind: Kind) -> bool {
    matches!(kind, Kind::Gang | Kind::Transient)
}

const LOG_LEVEL: &str = "TORCH_CPP_LOG_LEVEL";

fn failed(doing: &str, error: &std::io::Error) -> TrainError {
    TrainError::new(Kind::Internal, format!("{doing} a rank: {error}"))
}
