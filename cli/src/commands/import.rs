//! `swath import`: what others have written, as Swath has it.

use std::{
    fs::{File, Permissions},
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use swath_proto::pipeline::Pipeline;
use swath_raster_vision::{Imported, Note};

use crate::{
    args::{ImportCommand, RasterVisionArgs},
    exit::{Exit, Usage},
};

/// Of a pipeline's JSON: ten thousand scenes take a tenth of it.
const MOST_JSON: u64 = 256 << 20;

pub(super) fn run(what: ImportCommand) -> anyhow::Result<Exit> {
    match what {
        ImportCommand::RasterVision(args) => raster_vision(&args),
    }
}

fn raster_vision(args: &RasterVisionArgs) -> anyhow::Result<Exit> {
    let told = args.file.display();
    let wrong = |error: &dyn std::fmt::Display| Usage(format!("{told}: {error}"));
    let mut file = File::open(&args.file).map_err(|error| wrong(&error))?;
    let mut start = [0; 2];
    let is_zip = file.read_exact(&mut start).is_ok() && start == *b"PK";
    if is_zip {
        let out = out(args, "swath.zip")?;
        let source = swath_zip::Source::open(&args.file).map_err(|error| wrong(&error))?;
        let bundle =
            swath_raster_vision::bundle(&source, args.architecture).map_err(|error| wrong(&error))?;
        // A bundle is written from a file: its weights are read twice.
        let mut weights = tempfile::Builder::new()
            .suffix(".safetensors")
            .tempfile_in(folder(&out))
            .with_context(|| format!("writing beside {}", out.display()))?;
        weights.write_all(&bundle.weights).with_context(|| format!("writing beside {}", out.display()))?;
        let bytes =
            swath_bundle::write(Vec::new(), env!("CARGO_PKG_VERSION"), &bundle.model, weights.path(), None)
                .map_err(|error| wrong(&error))?;
        write(&out, &bytes, args.force)?;
        tell(&bundle.notes);
        say!("{}", out.display());
        note!("try it: swath predict {} IMAGE MAP.tif", out.display());
        return Ok(Exit::Done);
    }
    let json = std::fs::metadata(&args.file).map_err(|error| wrong(&error))?;
    if json.len() > MOST_JSON {
        return Err(wrong(&format!("has {} bytes, and {MOST_JSON} at most are read", json.len())).into());
    }
    let json = std::fs::read(&args.file).map_err(|error| wrong(&error))?;
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        let why = "is neither JSON nor a zip: give the pipeline-config.json of a run, or the model-bundle.zip in its folder \
                   bundle/";
        return Err(wrong(&why).into());
    }
    let Imported { text, notes } =
        swath_raster_vision::pipeline(&json, args.architecture).map_err(|error| wrong(&error))?;
    let out = out(args, "toml")?;
    let remarks: String =
        notes.iter().map(|note| format!("# {}\n", note.to_string().replace('\n', " "))).collect();
    let written = format!("# Taken over from {told}.\n{remarks}\n{text}");
    write(&out, written.as_bytes(), args.force)?;
    tell(&notes);
    say!("{}", out.display());
    match Pipeline::parse(&written) {
        Ok(_) => note!("try it: swath plan {}", out.display()),
        Err(bad) => note!("to be mended in it:\n{bad}"),
    }
    Ok(Exit::Done)
}

fn tell(notes: &[Note]) {
    notes.iter().for_each(|note| note!("note: {note}"));
}

/// Never the file that is read.
fn out(args: &RasterVisionArgs, ending: &str) -> anyhow::Result<PathBuf> {
    let out = args.out.clone().unwrap_or_else(|| args.file.with_extension(ending));
    let is_there = out.exists();
    let is_the_file = match (std::fs::canonicalize(&out), std::fs::canonicalize(&args.file)) {
        (Ok(out), Ok(file)) => out == file,
        _ => false,
    };
    if is_the_file {
        return Err(Usage(format!("{}: is what is read; name another OUT", out.display())).into());
    }
    if is_there && !args.force {
        return Err(Usage(format!("{} is there already; --force replaces it", out.display())).into());
    }
    Ok(out)
}

fn folder(out: &Path) -> &Path {
    out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// All of it, or nothing.
fn write(out: &Path, bytes: &[u8], force: bool) -> anyhow::Result<()> {
    let doing = || format!("writing {}", out.display());
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(out))
        .with_context(doing)?;
    file.write_all(bytes).with_context(doing)?;
    file.as_file().sync_all().with_context(doing)?;
    match force {
        true => drop(file.persist(out).with_context(doing)?),
        false => drop(file.persist_noclobber(out).with_context(doing)?),
    }
    Ok(())
}
