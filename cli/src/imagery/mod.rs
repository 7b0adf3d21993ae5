//! Draws what the page shows of pixels, in processes of its own: a file that crashes GDAL, or takes all memory, takes one
//! picture with it and not the coordinator. `wire` is what goes to and fro, `child` such a process, `layers` what it draws.

mod child;
mod layers;
mod wire;

use std::{
    io,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use swath_coordinator::http::imagery::{Imagery, Picture, Undrawn};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Semaphore,
    time::timeout,
};

pub(crate) use child::serve;

/// Two draw while the run works: a page is filled in a moment, and workers keep their processors.
const PROCESSES: usize = 2;
/// A scene without overviews is read whole for its thumbnail, maybe from far away; but nobody is to hold a place for ever.
const LONGEST: Duration = Duration::from_secs(180);
/// Pictures after which a process is replaced: what GDAL may lose of memory stays bounded.
const MOST_DRAWN: u32 = 1000;

/// What this program is started with to draw.
const COMMAND: &str = "draw";

/// Whoever wants a picture waits until a process is free. Each is started when it is needed first, and again when it has
/// ended.
pub(crate) struct Painter {
    idle: Mutex<Vec<Artist>>,
    room: Semaphore,
}

/// Such a process. It ends when this is dropped.
struct Artist {
    child: Child,
    asks: ChildStdin,
    answers: ChildStdout,
    drawn: u32,
}

impl Default for Painter {
    fn default() -> Self {
        Self { idle: Mutex::default(), room: Semaphore::new(PROCESSES) }
    }
}

impl Painter {
    fn idle(&self) -> MutexGuard<'_, Vec<Artist>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that is still there, or a new one.
    fn free(&self) -> io::Result<Artist> {
        let mut idle = self.idle();
        while let Some(mut artist) = idle.pop() {
            if matches!(artist.child.try_wait(), Ok(None)) {
                return Ok(artist);
            }
        }
        Artist::start()
    }
}

#[async_trait::async_trait]
impl Imagery for Painter {
    async fn draw(&self, picture: Picture) -> Result<Bytes, Undrawn> {
        let failed = |error: &dyn std::fmt::Display| Undrawn::Failed(error.to_string());
        let asked = wire::asked(picture).map_err(|error| failed(&error))?;
        let _room = self.room.acquire().await.map_err(|error| failed(&error))?;
        let mut artist =
            self.free().map_err(|error| failed(&format_args!("starting a process to draw: {error}")))?;
        // Whoever is not put back is ended: also where nobody waits for this any more.
        match timeout(LONGEST, artist.draw(&asked)).await {
            Ok(Ok(drawn)) => {
                if artist.drawn < MOST_DRAWN {
                    self.idle().push(artist);
                }
                drawn
            }
            Ok(Err(error)) => Err(Undrawn::Lost(artist.end(&error).await)),
            Err(_) => Err(Undrawn::Lost(format!("it was not drawn within {} s", LONGEST.as_secs()))),
        }
    }
}

impl Artist {
    fn start() -> io::Result<Self> {
        // The very program that runs, though another may lie in its place by now.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("swath").arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // A key that is pressed in the terminal is not meant for it: it ends with whoever asks.
        command.process_group(0);
        // Doors and their passwords, and the page's token, are no business of its.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SWATH_") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn()?;
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        Ok(Self { child, asks, answers, drawn: 0 })
    }

    /// The outer error is the end of the process.
    async fn draw(&mut self, asked: &[u8]) -> io::Result<Result<Bytes, Undrawn>> {
        self.asks.write_all(asked).await?;
        self.asks.flush().await?;
        let mut head = [0; wire::HEAD];
        self.answers.read_exact(&mut head).await?;
        let (kind, len) = wire::head(head)?;
        let mut body = vec![0; len];
        self.answers.read_exact(&mut body).await?;
        self.drawn += 1;
        wire::answered(kind, body)
    }

    /// How it has come to its end, in words.
    async fn end(mut self, error: &io::Error) -> String {
        // Of one that is there and talks nonsense.
        let _ = self.child.start_kill();
        match self.child.wait().await {
            Ok(status) => format!("the process that draws has ended: {status} ({error})"),
            Err(_) => format!("the process that draws has ended ({error})"),
        }
    }
}
