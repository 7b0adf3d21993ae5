//! The program that works, `swath-worker`: it lies beside this one.

use std::{
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Context as _;

const NAME: &str = "swath-worker";

pub(crate) fn path() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe().context("finding this program")?;
    let path = me.with_file_name(NAME);
    anyhow::ensure!(
        path.exists(),
        "{} is not there: {NAME} belongs beside {}; install both together",
        path.display(),
        me.display()
    );
    Ok(path)
}

/// Goes on as that program, with the same command line. Returns only if that fails.
pub(crate) fn become_it() -> anyhow::Error {
    let path = match path() {
        Ok(path) => path,
        Err(error) => return error,
    };
    let failed = Command::new(&path).args(std::env::args_os().skip(1)).exec();
    anyhow::Error::new(failed).context(format!("starting {}", path.display()))
}

/// The engines that it has, in its own words.
pub(crate) fn engines() -> anyhow::Result<String> {
    let path = path()?;
    let doing = || format!("asking {} for its engines", path.display());
    let told = Command::new(&path).arg("doctor").stdin(Stdio::null()).output().with_context(doing)?;
    anyhow::ensure!(
        told.status.success(),
        "{}: {} ({})",
        doing(),
        String::from_utf8_lossy(&told.stderr).trim(),
        told.status
    );
    Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}
