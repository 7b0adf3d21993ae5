//! `swath doctor`: every door by what a run does with it, and the engines by their names. What fails does not keep it
//! from trying the rest.

#[cfg(feature = "servers")]
mod batch;
mod ledger;
mod queue;
mod root;

use std::time::Instant;

use swath_backends::open::{Urls, redacted};

use crate::{
    args::DoorArgs,
    config,
    exit::{self, Exit},
    profile,
};

pub(super) async fn run(args: DoorArgs) -> anyhow::Result<Exit> {
    let urls = config::urls(&args);
    let (mut root, mut queue, mut ledger) = (Door::default(), Door::default(), Door::default());
    say!("root     {}", redacted(&urls.root));
    root::check(&mut root, &urls).await;
    say!("queue    {}", redacted(&urls.queue));
    queue::check(&mut queue, &urls).await;
    say!("ledger   {}", redacted(&urls.ledger));
    ledger::check(&mut ledger, &urls).await;
    let batch = batch_of(args.profile.as_deref(), &urls).await;
    let exits = [root.exits, queue.exits, ledger.exits, batch.exits, vec![engines()]].concat();
    Ok(worst(&exits))
}

/// Where a profile names it.
async fn batch_of(name: Option<&str>, urls: &Urls) -> Door {
    let mut door = Door::default();
    match profile::batch(name) {
        Ok(None) => {}
        #[cfg(feature = "servers")]
        Ok(Some(settings)) => {
            say!("batch    {}", name.unwrap_or_default());
            batch::check(&mut door, &settings, urls).await;
        }
        #[cfg(not(feature = "servers"))]
        Ok(Some(_)) => {
            say!("batch    {}, at {}", name.unwrap_or_default(), redacted(&urls.root));
            door.leaves_out("it: this program was built without its client (feature \"servers\")");
        }
        Err(error) => {
            say!("batch    {}", name.unwrap_or_default());
            door.tries::<()>("read the profile", async { Err(error) }).await;
        }
    }
    door
}

/// Wrong usage is mended first, then servers, then the rest.
fn worst(exits: &[Exit]) -> Exit {
    let order = [Exit::WrongUsage, Exit::Unreachable, Exit::Failed];
    order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Done)
}

/// What was tried at one door, told a line each.
#[derive(Default)]
struct Door {
    exits: Vec<Exit>,
}

impl Door {
    async fn tries<T>(&mut self, what: &str, attempt: impl Future<Output = anyhow::Result<T>>) -> Option<T> {
        self.tries_and_tells(what, attempt, |_| String::new()).await
    }

    async fn tries_and_tells<T>(
        &mut self,
        what: &str,
        attempt: impl Future<Output = anyhow::Result<T>>,
        found: impl Fn(&T) -> String,
    ) -> Option<T> {
        let started = Instant::now();
        let ended = attempt.await;
        let ms = started.elapsed().as_secs_f64() * 1e3;
        match ended {
            Ok(value) => {
                say!("  ok       {what}{} ({ms:.1} ms)", found(&value));
                Some(value)
            }
            Err(error) => {
                let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
                // Some causes tell their own cause too.
                causes.dedup_by(|cause, of| of.ends_with(cause.as_str()));
                say!("  FAILED   {what} ({ms:.1} ms): {}", causes.join(": "));
                self.exits.push(exit::code(&error));
                None
            }
        }
    }

    /// What can't be tried without something that has failed.
    fn leaves_out(&self, what: &str) {
        say!("  -        {what}: not tried");
    }

    /// What works, and has to be seen to all the same.
    fn points_at(&self, what: &str) {
        say!("  LOOK     {what}");
    }
}

#[cfg(feature = "engine")]
fn engines() -> Exit {
    match crate::worker_program::engines() {
        Ok(engines) => {
            say!("engines\n  ok       {engines}");
            Exit::Done
        }
        Err(error) => {
            say!("engines\n  FAILED   {error:#}");
            Exit::Failed
        }
    }
}

#[cfg(not(feature = "engine"))]
fn engines() -> Exit {
    say!("engines\n  -        none; this program was built as a coordinator only");
    Exit::Done
}
