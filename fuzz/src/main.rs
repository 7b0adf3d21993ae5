//! `TARGET FILE...` reads files as a fuzzer does; `seeds FOLDER` writes what fuzzers begin with; `list`
//! lists the targets.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use swath_fuzz::{TARGETS, Target};

fn main() -> io::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["list"] => {
            for target in TARGETS {
                writeln!(io::stdout(), "{}", target.name)?;
            }
        }
        ["seeds", folder] => TARGETS.iter().try_for_each(|target| seeds(target, Path::new(folder)))?,
        [name, ref files @ ..] if !files.is_empty() && Target::named(name).is_some() => {
            for file in files {
                let bytes = fs::read(file)?;
                Target::named(name).into_iter().for_each(|target| (target.run)(&bytes));
            }
        }
        _ => {
            writeln!(io::stderr(), "usage: list | seeds FOLDER | TARGET FILE...")?;
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `FOLDER/TARGET/seed-N` and `FOLDER/TARGET.dict`.
fn seeds(target: &Target, folder: &Path) -> io::Result<()> {
    let corpus = folder.join(target.name);
    fs::create_dir_all(&corpus)?;
    for (number, seed) in target.seeds().iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number}")), seed)?;
    }
    let mut dictionary = String::new();
    for token in target.tokens() {
        let bytes = token.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\x{byte:02x}");
            text
        });
        dictionary += &format!("\"{bytes}\"\n");
    }
    fs::write(folder.join(format!("{}.dict", target.name)), dictionary)
}
