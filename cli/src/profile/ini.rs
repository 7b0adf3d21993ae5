//! A profile of Raster Vision as one of ours: `[BATCH]`, the older `[AWS_BATCH]`, and `[AWS_S3]`. What has no counterpart
//! is told. Pure.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use swath_coordinator::fleet::batch::settings::{Settings, Side};

use super::{Profile, Taken};

/// What Batch takes; more is of no use to anyone.
const MOST_ATTEMPTS: u32 = 10;

/// Keys in their order, sections and keys in capitals: Raster Vision tells neither apart by case.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

pub fn read(text: &str) -> anyhow::Result<Taken> {
    let mut sections = parse(text)?;
    let mut notes = Vec::new();
    let mut settings = Settings { attempts: 1, ..Settings::default() };
    let (new, old) = (sections.remove("BATCH"), sections.remove("AWS_BATCH"));
    if new.is_some() && old.is_some() {
        notes.push("[AWS_BATCH] is passed over: [BATCH] is there too, and newer".to_owned());
    }
    let section = if new.is_some() { "BATCH" } else { "AWS_BATCH" };
    let mut batch = new.or(old).unwrap_or_default();
    let mut first = |names: [&str; 2]| names.into_iter().find_map(|name| batch.remove(name));
    let gpu = (first(["GPU_JOB_QUEUE", "JOB_QUEUE"]), first(["GPU_JOB_DEF", "JOB_DEFINITION"]));
    let cpu = (first(["CPU_JOB_QUEUE", "CPU_JOB_QUEUE"]), first(["CPU_JOB_DEF", "CPU_JOB_DEFINITION"]));
    let attempts = first(["ATTEMPTS", "ATTEMPTS"]);
    settings.gpu = side(section, "gpu", gpu, &mut notes);
    settings.cpu = side(section, "cpu", cpu, &mut notes);
    if let Some(attempts) = attempts {
        let Ok(n @ 1..=u32::MAX) = attempts.parse::<u32>() else {
            bail!("[{section}] attempts = {attempts}: must be a whole number from 1 on");
        };
        settings.attempts = n.min(MOST_ATTEMPTS);
        if n > MOST_ATTEMPTS {
            notes.push(format!("attempts = {n}: Batch takes {MOST_ATTEMPTS} at most"));
        }
        notes.push(
            "attempts: a job is begun again when its machine was taken away; items that fail have tries of their own \
             (run.max_failures)"
                .to_owned(),
        );
    }
    for key in batch.keys() {
        notes.push(format!("[{section}] {} has no counterpart", key.to_lowercase()));
    }
    if let Some(mut s3) = sections.remove("AWS_S3") {
        let pays =
            s3.remove("REQUESTER_PAYS").map(|text| truth("[AWS_S3] requester_pays", &text)).transpose()?;
        if pays == Some(true) {
            settings.environment.insert("AWS_REQUEST_PAYER".into(), "requester".into());
            notes.push(
                "requester_pays: jobs are given AWS_REQUEST_PAYER=requester; for commands here set it too, or give the \
                 bucket an [[access]] entry with requester_pays = true"
                    .to_owned(),
            );
        }
        for key in s3.keys() {
            notes.push(format!("[AWS_S3] {} has no counterpart", key.to_lowercase()));
        }
    }
    for (section, keys) in &sections {
        let keys: Vec<String> = keys.keys().map(|key| key.to_lowercase()).collect();
        notes.push(match section.as_str() {
            "PLUGINS" => {
                format!("[PLUGINS] {} has no counterpart: steps of your own take its place", keys.join(", "))
            }
            "RV" | "RASTER_VISION" => {
                format!("[{section}] {} has no counterpart: TMPDIR says where files lie", keys.join(", "))
            }
            _ => format!("[{section}] {} has no counterpart", keys.join(", ")),
        });
    }
    let has_queues = settings.cpu.is_some() || settings.gpu.is_some();
    if !has_queues && !settings.environment.is_empty() {
        notes.push("it names no job queue with a definition, so that nothing of [batch] is left".to_owned());
    }
    let batch = has_queues.then_some(settings);
    if let Some(batch) = &batch {
        batch.check()?;
    }
    Ok(Taken { profile: Profile { batch, ..Profile::default() }, notes })
}

/// One queue, whose market nobody says: Raster Vision's own template puts spot machines first.
fn side(
    section: &str,
    kind: &str,
    (queue, definition): (Option<String>, Option<String>),
    notes: &mut Vec<String>,
) -> Option<Side> {
    match (queue, definition) {
        (Some(queue), Some(definition)) => {
            notes.push(format!(
                "the job definition {definition} is to start an image of Swath's, and starts one of Raster Vision's: name \
                 another in [batch.{kind}], or have one registered by [batch.{kind}.image]"
            ));
            Some(Side { spot: Some(queue), definition: Some(definition), ..Side::default() })
        }
        (None, None) => None,
        (Some(queue), None) => {
            notes.push(format!(
                "[{section}] names the queue {queue} and no job definition for it: passed over"
            ));
            None
        }
        (None, Some(definition)) => {
            notes.push(format!(
                "[{section}] names the job definition {definition} and no queue for it: passed over"
            ));
            None
        }
    }
}

fn parse(text: &str) -> anyhow::Result<Sections> {
    let mut sections = Sections::new();
    let mut section: Option<String> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').unwrap_or_default().trim();
            ensure!(!name.is_empty() && !name.contains(['[', ']']), "line {number}: a section is [NAME]");
            let name = name.to_uppercase();
            sections.entry(name.clone()).or_default();
            section = Some(name);
            continue;
        }
        let Some((key, value)) = line.split_once(['=', ':']) else {
            bail!("line {number}: neither [SECTION] nor KEY = VALUE");
        };
        let Some(section) = &section else {
            bail!("line {number}: {} stands before any section", key.trim())
        };
        let value = plain(value).to_owned();
        sections.entry(section.clone()).or_default().insert(key.trim().to_uppercase(), value);
    }
    Ok(sections)
}

/// Without quotes, or without a remark behind it.
fn plain(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some((inside, _)) = rest.split_once(quote)
        {
            return inside;
        }
    }
    value.split(" #").next().unwrap_or_default().trim()
}

fn truth(what: &str, text: &str) -> anyhow::Result<bool> {
    match text.to_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" | "on" => Ok(true),
        "false" | "f" | "no" | "n" | "0" | "off" | "" => Ok(false),
        _ => bail!("{what} = {text}: must be true or false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_profile_is_taken_over() {
        let text = "# of a colleague\n[BATCH]\ngpu_job_queue = RasterVisionGpuJobQueue\ngpu_job_def=\"GpuDef\"\n\
                    cpu_job_queue: CpuQueue  # spot\ncpu_job_def = 'CpuDef'\nattempts=5\n[AWS_S3]\nrequester_pays=True\n";
        let Taken { profile, notes } = read(text).unwrap();
        let batch = profile.batch.unwrap();
        assert_eq!(batch.attempts, 5);
        let gpu = batch.gpu.unwrap();
        assert_eq!(
            (gpu.spot.as_deref(), gpu.definition.as_deref()),
            (Some("RasterVisionGpuJobQueue"), Some("GpuDef"))
        );
        let cpu = batch.cpu.unwrap();
        assert_eq!((cpu.spot.as_deref(), cpu.definition.as_deref()), (Some("CpuQueue"), Some("CpuDef")));
        assert_eq!(batch.environment["AWS_REQUEST_PAYER"], "requester");
        assert!(notes.iter().any(|note| note.contains("image of Swath's")), "{notes:?}");
    }

    #[test]
    fn an_older_profile_is_taken_over_and_what_has_no_counterpart_is_told() {
        let text = "[AWS_BATCH]\njob_queue=q\njob_definition=d\nattempts=12\ngpu=True\n[PLUGINS]\nfiles=[]\nmodules=[]\n\
                    [RV]\ntmp_dir=/opt/data/tmp\n[SAGEMAKER]\nexec_role=r\n";
        let Taken { profile, notes } = read(text).unwrap();
        let batch = profile.batch.unwrap();
        assert_eq!(batch.gpu.unwrap().spot.as_deref(), Some("q"));
        assert_eq!((batch.cpu, batch.attempts), (None, 10));
        for word in [
            "attempts = 12",
            "[AWS_BATCH] gpu",
            "[PLUGINS] files, modules",
            "[RV] tmp_dir",
            "[SAGEMAKER] exec_role",
        ] {
            assert!(notes.iter().any(|note| note.contains(word)), "{word}: {notes:?}");
        }
    }

    #[test]
    fn where_nothing_is_said_a_job_is_begun_once_as_there() {
        let Taken { profile, .. } = read("[BATCH]\ncpu_job_queue=q\ncpu_job_def=d\n").unwrap();
        assert_eq!(profile.batch.unwrap().attempts, 1);
    }

    #[test]
    fn a_queue_without_a_definition_is_passed_over_and_said() {
        let Taken { profile, notes } = read("[BATCH]\ngpu_job_queue=q\n").unwrap();
        assert_eq!(profile.batch, None);
        assert!(notes[0].contains("no job definition"), "{notes:?}");
    }

    #[test]
    fn what_is_no_profile_says_where() {
        for (text, word) in [
            ("[BATCH\nattempts=1", "line 1"),
            ("attempts=1", "before any section"),
            ("[BATCH]\nnonsense", "line 2"),
            ("[BATCH]\nattempts=many", "whole number"),
            ("[BATCH]\nattempts=0", "whole number"),
            ("[AWS_S3]\nrequester_pays=perhaps", "true or false"),
        ] {
            let words = format!("{:#}", read(text).expect_err(text));
            assert!(words.contains(word), "{words}");
        }
    }

    #[test]
    fn what_is_written_reads_back_as_a_profile_of_ours() {
        let taken = read("[BATCH]\ngpu_job_queue=q\ngpu_job_def=d\nattempts=4\n").unwrap();
        let text = taken.text("/home/me/.rastervision/default").unwrap();
        assert!(text.starts_with("# Taken over from /home/me/.rastervision/default."));
        assert_eq!(Settings::of_profile("p", &text).unwrap(), taken.profile.batch);
    }
}
