//! A library laid under the program, whose native code then crashes, hangs or takes all memory when it reads the
//! pixels of one file: faults that can't be brought about from outside.

use std::{path::PathBuf, process::Command, sync::OnceLock};

const SOURCE: &str = include_str!("faults.c");

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Crash,
    Hang,
    /// Takes memory until it is killed for it.
    Gorge,
}

/// Variables for a process in which reading pixels of a file whose path contains `file` ends so.
pub fn environment(fault: Fault, file: &str) -> [(&'static str, String); 3] {
    let fault = match fault {
        Fault::Crash => "crash",
        Fault::Hang => "hang",
        Fault::Gorge => "gorge",
    };
    [
        ("LD_PRELOAD", library().display().to_string()),
        ("SWATH_TEST_FAULT", fault.into()),
        ("SWATH_TEST_FAULT_FILE", file.into()),
    ]
}

fn library() -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("faults.c");
        std::fs::write(&source, SOURCE).expect("writing the source");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(folder.path().join("faults.so"))
            .arg(source)
            .arg("-ldl");
        let output = compiler.output().expect("cc, which builds this program too");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    folder.path().join("faults.so")
}
