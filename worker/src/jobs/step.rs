//! Runs a command of the user's own in a folder that is taken away afterwards. Its inputs are fetched, its
//! outputs are put under the root, and the list of these is the commit.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, anyhow};
use swath_backends::Kind;
use swath_proto::{
    ids::Digest,
    item::{Item, Place, Stage, Step},
    keys,
    learn::{ChipItem, Chipped},
    outcome::FailureClass,
    steps::{Given, GivenFiles, MadeFile, StepCommand, StepInputs, Stepped, SteppedFile},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
    keeper::is_ours,
};

/// What is told of a command that has failed: the end of what it has said.
const MAX_TOLD: usize = 2000;
/// Of an input, at a time.
const PIECE: u64 = 8 << 20;

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Step) -> Result<Output, JobError> {
    if !cx.allow_steps {
        return Err(JobError::Unfit(anyhow!("this worker was not started with --allow-steps")));
    }
    let commit = keys::item_output(item);
    if is_done(cx, &commit).await? {
        return Ok(Output { body: bytes::Bytes::new(), pixels: 0 });
    }
    let key = keys::inputs(&item.run, &work.inputs);
    let document = cx.blobs.get(&key).await?;
    if Digest::of(&document) != work.inputs {
        return Err(JobError::data(anyhow!(
            "{key} does not hash to its name, and nothing of it is run: delete it and replay the item"
        )));
    }
    let StepInputs { command, given } = serde_json::from_slice(&document)
        .with_context(|| format!("reading {key}"))
        .map_err(JobError::data)?;
    let folder = tempfile::tempdir().map_err(|error| local(error, "making a folder for the step"))?;
    let words = prepare(cx, item, work, &command, &given, folder.path()).await?;
    execute(work, &words, folder.path()).await?;
    // What has gone to another meanwhile is that one's to commit.
    if !is_ours(cx, item).await? {
        return Err(JobError::new(FailureClass::Preempted, anyhow!("another has it by now")));
    }
    // What an earlier attempt has committed does not fit what this one has made.
    cx.blobs.delete(&commit).await?;
    let mut outputs = Vec::new();
    for name in &command.outputs {
        outputs.push(keep(cx, work, name, &folder.path().join(name)).await?);
    }
    json(&Stepped::V1 { step: work.name.clone(), scene: work.scene.clone(), outputs }, 0)
}

/// It was run before, and nothing of what it has left was taken away.
async fn is_done(cx: &Context, commit: &str) -> Result<bool, JobError> {
    let Stepped::V1 { outputs, .. } = match cx.blobs.get(commit).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(false),
        json => serde_json::from_slice(&json?)
            .with_context(|| format!("reading {commit}"))
            .map_err(JobError::data)?,
    };
    for output in outputs {
        if cx.blobs.head(&output.key).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts inputs and scripts into the folder; returns the command with all names filled in.
async fn prepare(
    cx: &Context,
    item: &Item,
    work: &Step,
    command: &StepCommand,
    given: &[Given],
    folder: &Path,
) -> Result<Vec<String>, JobError> {
    for file in &command.files {
        let script = cx.blobs.get(&keys::step_file(&file.sha256)).await?;
        if Digest::of(&script) != file.sha256 {
            return Err(JobError::data(anyhow!(
                "{} ({}) is not what it was when the run began: delete it and submit the pipeline once more",
                keys::step_file(&file.sha256),
                file.name
            )));
        }
        write(&folder.join(&file.name), &script).await?;
        let runnable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let made = tokio::fs::set_permissions(folder.join(&file.name), runnable).await;
        made.map_err(|error| local(error, "making a script runnable"))?;
    }
    let mut filled: Vec<(String, Vec<String>)> = Vec::new();
    let mut gone = Vec::new();
    for (number, Given { name, what }) in given.iter().enumerate() {
        // A folder for each, so that no input lies in another's way.
        let into = folder.join(format!("in-{number}"));
        let paths = match what {
            GivenFiles::Outside(files) => {
                cx.check_all_unchanged(item, files).await?;
                files.iter().map(|file| file.uri.clone()).collect()
            }
            GivenFiles::One(file) => {
                gone.extend(fetch(cx, file, &into).await?);
                vec![text(&into.join(&file.name))?]
            }
            GivenFiles::Folder(files) => {
                tokio::fs::create_dir_all(&into).await.map_err(|error| local(error, "making a folder"))?;
                for file in files {
                    gone.extend(fetch(cx, file, &into).await?);
                }
                vec![text(&into)?]
            }
            GivenFiles::Chips(chips) => {
                for (set, chips) in [("train", &chips.train), ("validation", &chips.validation)] {
                    let into = into.join(set);
                    tokio::fs::create_dir_all(&into)
                        .await
                        .map_err(|error| local(error, "making a folder"))?;
                    for chip in chips {
                        gone.extend(fetch_shard(cx, chip, &into).await?);
                    }
                }
                vec![text(&into)?]
            }
        };
        filled.push((format!("{{in:{name}}}"), paths));
    }
    if !gone.is_empty() {
        let message = format!("{} inputs of the step {} are gone", gone.len(), work.name);
        return Err(JobError::MissingInputs { places: gone, message });
    }
    for name in &command.outputs {
        filled.push((format!("{{out:{name}}}"), vec![text(&folder.join(name))?]));
    }
    filled.push(("{run}".into(), vec![item.run.to_string()]));
    filled.extend(work.scene.as_ref().map(|scene| ("{scene}".into(), vec![scene.to_string()])));
    if let Some(rect) = work.rect {
        for (name, value) in
            [("{col}", rect.col), ("{row}", rect.row), ("{width}", rect.width), ("{height}", rect.height)]
        {
            filled.push((name.into(), vec![value.to_string()]));
        }
    }
    let mut words: Vec<String> = command.command.iter().flat_map(|word| fill(word, &filled)).collect();
    if let Some(program) = words.first_mut()
        && command.files.iter().any(|file| file.name == *program)
    {
        *program = text(&folder.join(&*program))?;
    }
    Ok(words)
}

/// A word that is just one name becomes as many words as the name has values.
fn fill(word: &str, filled: &[(String, Vec<String>)]) -> Vec<String> {
    if let Some((_, values)) = filled.iter().find(|(name, _)| name == word) {
        return values.clone();
    }
    vec![filled.iter().fold(word.to_owned(), |word, (name, values)| word.replace(name, &values.join(" ")))]
}

/// Returns the place of whoever can make it again, if it is gone. Inputs may be larger than memory.
async fn fetch(cx: &Context, file: &MadeFile, into: &Path) -> Result<Option<Place>, JobError> {
    let Some(meta) = cx.blobs.head(&file.key).await? else { return gone(file) };
    let path = into.join(&file.name);
    // A name may have folders of its own: a scene's, where all scenes are gathered.
    let folder = path.parent().unwrap_or(into);
    tokio::fs::create_dir_all(folder).await.map_err(|error| local(error, "making a folder"))?;
    let written = tokio::fs::File::create(&path).await;
    let mut written = written.map_err(|error| local(error, "writing an input"))?;
    let mut at = 0;
    while at < meta.len {
        let end = meta.len.min(at + PIECE);
        let piece = match cx.blobs.get_range(&file.key, at..end).await {
            Err(error) if error.kind == Kind::NotFound => return gone(file),
            piece => piece?,
        };
        written.write_all(&piece).await.map_err(|error| local(error, "writing an input"))?;
        at = end;
    }
    written.flush().await.map_err(|error| local(error, "writing an input"))?;
    Ok(None)
}

/// The shard of a chip item and the index of its bytes, where it has kept a chip.
async fn fetch_shard(cx: &Context, chip: &ChipItem, into: &Path) -> Result<Option<Place>, JobError> {
    let output = keys::output(Stage::Chip, &chip.id);
    let Chipped::V1 { shard, index, .. } = match cx.blobs.get(&output).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(Some(chip.place)),
        json => serde_json::from_slice(&json?)
            .with_context(|| format!("reading {output}"))
            .map_err(JobError::data)?,
    };
    for key in shard.into_iter().chain(index) {
        let name = key.rsplit('/').next().unwrap_or_default().to_owned();
        let gone = fetch(cx, &MadeFile { key, name, producer: Some(chip.place) }, into).await?;
        if gone.is_some() {
            return Ok(gone);
        }
    }
    Ok(None)
}

fn gone(file: &MadeFile) -> Result<Option<Place>, JobError> {
    let nobody = || {
        JobError::new(FailureClass::Fault, anyhow!("{} is gone, and no item makes it: put it back", file.key))
    };
    file.producer.map(Some).ok_or_else(nobody)
}

async fn execute(work: &Step, words: &[String], folder: &Path) -> Result<(), JobError> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| JobError::data(anyhow!("the step {} names no program", work.name)))?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Its children go with it, and Ctrl-C at a terminal comes to us alone.
    command.process_group(0).kill_on_drop(true);
    // Another worker may have the program, or the right.
    let mut child = command.spawn().map_err(|error| {
        let what = format!("starting {program} for the step {}", work.name);
        JobError::new(FailureClass::Fault, anyhow!(error).context(what))
    })?;
    let group = Group(child.id());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = async |pipe: Option<&mut (dyn tokio::io::AsyncRead + Unpin + Send)>, into: &mut Vec<u8>| {
        if let Some(pipe) = pipe {
            let _ = read_tail(pipe, into).await;
        }
    };
    let (mut out, mut err) = (out, err);
    let ended = async {
        let status = child.wait().await;
        // What it has left behind would keep the pipes open.
        drop(group);
        status
    };
    let (status, (), ()) = tokio::join!(
        ended,
        read(out.as_mut().map(|pipe| pipe as _), &mut said),
        read(err.as_mut().map(|pipe| pipe as _), &mut complained)
    );
    let status = status.map_err(JobError::internal)?;
    if status.success() {
        return Ok(());
    }
    said.extend(complained);
    let told = String::from_utf8_lossy(&said[said.len().saturating_sub(MAX_TOLD)..]).trim().to_owned();
    let told = if told.is_empty() { String::new() } else { format!("\n{told}") };
    Err(JobError::new(
        FailureClass::Fault,
        anyhow!("the step {} has failed: {program}, {status}{told}", work.name),
    ))
}

/// What a command says may be long; its end is kept.
async fn read_tail(
    pipe: &mut (dyn tokio::io::AsyncRead + Unpin + Send),
    into: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 14];
    loop {
        let n = pipe.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        into.extend_from_slice(&buffer[..n]);
        if into.len() > 8 * MAX_TOLD {
            into.drain(..into.len() - MAX_TOLD);
        }
    }
}

/// A command and all that it has started: none of it outlives the attempt.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.and_then(|pid| libc::pid_t::try_from(pid).ok()) {
            // SAFETY: a plain call. The group's number is not given away while one of its processes lives; where
            // none does, there is nobody to hit.
            unsafe { libc::killpg(pid, libc::SIGKILL) };
        }
    }
}

async fn keep(cx: &Context, work: &Step, name: &str, path: &Path) -> Result<SteppedFile, JobError> {
    let body = match tokio::fs::read(path).await {
        Ok(body) => bytes::Bytes::from(body),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("the step {} ended well and has not written {name}", work.name);
            return Err(JobError::new(FailureClass::Fault, anyhow!(text)));
        }
        Err(error) => return Err(local(error, "reading an output")),
    };
    let key = format!("{}{name}", work.output);
    let file = SteppedFile {
        name: name.to_owned(),
        key: key.clone(),
        bytes: body.len() as u64,
        sha256: Digest::of(&body),
    };
    cx.blobs.put(&key, body).await?;
    Ok(file)
}

async fn write(path: &Path, body: &[u8]) -> Result<(), JobError> {
    let parent = path.parent().map(PathBuf::from).unwrap_or_default();
    let written = async {
        tokio::fs::create_dir_all(&parent).await?;
        tokio::fs::write(path, body).await
    };
    written.await.map_err(|error| local(error, "writing an input"))
}

fn text(path: &Path) -> Result<String, JobError> {
    let text = path.to_str().ok_or_else(|| JobError::internal(anyhow!("{} is not UTF-8", path.display())))?;
    Ok(text.to_owned())
}

fn local(error: std::io::Error, what: &'static str) -> JobError {
    let class = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => FailureClass::Capacity,
        _ => FailureClass::Fault,
    };
    JobError::new(class, anyhow!(error).context(what))
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn names_become_paths_and_lists_become_words() {
        let filled = [
            ("{in:image}".to_owned(), vec!["/a.tif".to_owned(), "/b.tif".to_owned()]),
            ("{scene}".to_owned(), vec!["s".to_owned()]),
        ];
        assert_eq!(fill("{in:image}", &filled), ["/a.tif", "/b.tif"]);
        assert_eq!(fill("--name={scene}-{scene}", &filled), ["--name=s-s"]);
        assert_eq!(fill("{out:x}", &filled), ["{out:x}"]);
    }
}
