//! `swath fleet gang`: machines of AWS Batch that train together.

use swath_backends::{
    Error,
    blobs::SharedBlobs,
    open::{open_blobs, redacted},
};
use swath_coordinator::fleet::{
    batch::{
        Batch, Gang,
        gangs::{self, Seen, Started},
        settings::Settings,
    },
    provider::{Ending, JobState},
};
use swath_proto::{
    fleet::Market,
    ids::{Digest, WorkerId},
    keys,
    train::{TRAIN_FILE, TrainFile},
};

use crate::{
    args::{DoorArgs, GangCommand, GangStart, gang_name},
    config,
    exit::{Exit, Usage, as_usage},
    profile, table, text,
};

pub(super) async fn run(what: GangCommand, doors: DoorArgs) -> anyhow::Result<Exit> {
    let settings = profile::batch(doors.profile.as_deref())?;
    let settings = settings.filter(|settings| settings.trainer.is_some()).ok_or_else(|| {
        Usage(
            "no profile says what trainers are made of: give --profile NAME with [batch.trainer] (docs/aws-batch.md)"
                .into(),
        )
    })?;
    // What is wrong with what was typed is told before anybody is asked.
    let what = match what {
        GangCommand::Start(args) => What::Start(Wanted::read(args, &settings)?),
        GangCommand::Status { name, json } => What::Status { name, json },
        GangCommand::Stop { name } => What::Stop { name },
    };
    let batch = Batch::open(&settings, &config::urls(&doors)).await.map_err(Error::from)?;
    let blobs = open_blobs(&doors.root).await?;
    match what {
        What::Start(wanted) => wanted.start(&batch, &blobs).await?,
        What::Status { name, json } => show(&there(&batch, &blobs, &name, &doors).await?, json)?,
        What::Stop { name } => {
            let seen = there(&batch, &blobs, &name, &doors).await?;
            match gangs::stop(&batch, &seen).await? {
                0 => say!("none of its machines is left"),
                n => {
                    say!("{} told to end; they write a checkpoint before", table::count(n as u64, "machine"))
                }
            }
        }
    }
    Ok(Exit::Done)
}

enum What {
    Start(Wanted),
    Status { name: WorkerId, json: bool },
    Stop { name: WorkerId },
}

/// A gang, and what it trains.
struct Wanted {
    gang: Gang,
    text: String,
    key: String,
}

impl Wanted {
    fn read(args: GangStart, settings: &Settings) -> anyhow::Result<Self> {
        let GangStart { file, machines, ranks, least_ranks, name, market } = args;
        let wrong = |why: String| Usage(format!("{}: {why}", file.display()));
        let text = text::read(&file, TRAIN_FILE).map_err(wrong)?;
        check(&text).map_err(wrong)?;
        let name = match name {
            Some(name) => name,
            None => gang_name(&file.file_stem().unwrap_or_default().to_string_lossy())
                .map_err(|why| Usage(format!("{why}; give --name")))?,
        };
        let market = match market {
            Some(market) => market,
            None => first_market(settings)?,
        };
        let key = keys::gang_file(&name, &Digest::of(text.as_bytes()));
        let token = Gang::new_token(jiff::Timestamp::now(), rand::random());
        let file = format!("{}{key}", keys::UNDER_THE_ROOT);
        let gang = Gang { token, name, file, machines, ranks, least_ranks, market, run: None };
        Ok(Self { gang, text, key })
    }

    async fn start(self, batch: &Batch, blobs: &SharedBlobs) -> anyhow::Result<()> {
        // Named by its content: whoever has put it there has put the same.
        blobs.put_new(&self.key, self.text.into()).await?;
        let Gang { name, market, .. } = &self.gang;
        let Started { jobs, was_there } = gangs::start(batch, blobs, &self.gang).await.map_err(as_usage)?;
        let machines = table::count(jobs.len() as u64, "machine");
        match was_there {
            true => say!("the gang {name} is there already, with {machines}"),
            false => say!("the gang {name} is started, with {machines} ({market})"),
        }
        note!("see: swath fleet gang status {name}");
        Ok(())
    }
}

/// What a trainer would refuse only once it has a machine.
fn check(text: &str) -> Result<(), String> {
    let file = TrainFile::parse(text)?;
    if file.init.is_some() {
        return Err("init: names a file of this machine, which others do not have; such a training is started on each \
                    machine by swath train --gang"
            .into());
    }
    file.check()
}

/// The trainer's own, or else that of cards.
fn first_market(settings: &Settings) -> anyhow::Result<Market> {
    let sides = [("trainer", &settings.trainer), ("gpu", &settings.gpu)];
    let named = sides.into_iter().filter_map(|(section, side)| Some((section, side.as_ref()?)));
    let found = named
        .flat_map(|(section, side)| {
            Market::ALL.into_iter().filter(move |market| side.queue(section, *market).is_ok())
        })
        .next();
    Ok(found.ok_or_else(|| Usage("the profile names no queue for trainers: see [batch.trainer]".into()))?)
}

async fn there(
    batch: &Batch,
    blobs: &SharedBlobs,
    name: &WorkerId,
    doors: &DoorArgs,
) -> anyhow::Result<Seen> {
    let seen = gangs::look(batch, blobs, name).await?;
    Ok(seen
        .ok_or_else(|| Usage(format!("no gang {name} was ever started under {}", redacted(&doors.root))))?)
}

fn show(seen: &Seen, json: bool) -> anyhow::Result<()> {
    if json {
        let machines: Vec<_> = seen
            .machines
            .iter()
            .map(|(job, state)| serde_json::json!({ "job": job.0, "is_over": state.is_over(), "state": told(state) }))
            .collect();
        say!("{}", serde_json::json!({ "gang": seen.gang, "machines": machines }));
        return Ok(());
    }
    let Gang { name, machines, ranks, least_ranks, .. } = &seen.gang;
    let (machines, ranks) =
        (table::count(u64::from(*machines), "machine"), table::count(u64::from(*ranks), "rank"));
    say!("{name}: {machines} with {ranks} each; it trains with {least_ranks} and more");
    let mut rows = vec![vec!["JOB".to_owned(), "STATE".to_owned()]];
    rows.extend(seen.machines.iter().map(|(job, state)| vec![job.0.clone(), told(state)]));
    table::print(&rows);
    Ok(())
}

fn told(state: &JobState) -> String {
    match state {
        JobState::Queued { why: None } => "waits for a machine".into(),
        JobState::Queued { why: Some(why) } => format!("waits for a machine: {why}"),
        JobState::Launching => "launching".into(),
        JobState::Running => "running".into(),
        JobState::Ended(Ending::Done) => "done".into(),
        JobState::Ended(Ending::HostLost) => "its machine was taken away".into(),
        JobState::Ended(Ending::Failed(why)) => format!("failed: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str =
        "output = \"mine/\"\nshards.train = [\"chips/\"]\n[train]\narchitecture = \"tiny\"\nclasses = 2\n";

    #[test]
    fn what_a_trainer_would_refuse_is_refused_before_it_has_a_machine() {
        check(RIGHT).unwrap();
        for (text, wanted) in [
            (RIGHT.replace("mine/", "/mine/"), "must be a folder under the root"),
            (RIGHT.replace("chips/", "s3://other/chips/"), "must be a key under the root"),
            (RIGHT.replace("[\"chips/\"]", "[]"), "names no shard"),
            (RIGHT.replace("[train]", "init = \"mine.pt\"\n[train]"), "names a file of this machine"),
            (format!("{RIGHT}epoch = 3\n"), "unknown field `epoch`"),
            (format!("{RIGHT}epochs = 0\n"), "epochs = 0"),
        ] {
            let told = check(&text).unwrap_err();
            assert!(told.contains(wanted), "{text}: {told}");
        }
    }

    #[test]
    fn a_gang_is_looked_for_where_the_profile_has_queues() {
        let market = |queues: &str| {
            let text = format!("{queues}\n[batch.trainer]\ndefinition = 't'\n");
            first_market(&Settings::of_profile("p", &text).unwrap().unwrap()).unwrap()
        };
        assert_eq!(market("[batch.gpu]\nspot = 's'\non_demand = 'o'\ndefinition = 'd'"), Market::Spot);
        assert_eq!(market("[batch.gpu]\non_demand = 'o'\ndefinition = 'd'"), Market::OnDemand);
    }
}
