//! Tests that kill: a test runs itself again as a process of its own, listens to what that says it
//! has done, and ends it with SIGKILL in the middle of its work.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

const FOLDER: &str = "SWATH_TEST_VICTIM";
/// Marks the victim's words among those of the test harness.
const SAYS: &str = "victim says ";

pub struct Victim {
    process: Child,
    output: BufReader<ChildStdout>,
}

/// In the victim: the folder to work in. It ends when the test does, however that ends.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os(FOLDER)?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    Some(folder.into())
}

/// In the victim: tells the test, which may kill at once.
pub fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{SAYS}{words}").and_then(|()| out.flush()).expect("the test listens");
}

impl Victim {
    /// `test`: the whole path of the test that calls, which has to ask [`folder`] what it is.
    pub fn start(test: &str, folder: &Path) -> Self {
        let test = test.split_once("::").expect("a path that begins with the crate").1;
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", test, "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting a victim");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        Self { process, output }
    }

    /// What it says next; none once it is dead and everything was heard.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("listening") > 0 {
            if let Some(words) = line.trim_end().strip_prefix(SAYS) {
                return Some(words.to_owned());
            }
            line.clear();
        }
        None
    }

    /// SIGKILL; returns what it had still said.
    pub fn kill(&mut self) -> Vec<String> {
        self.process.kill().expect("killing");
        self.process.wait().expect("a dead child");
        std::iter::from_fn(|| self.hear()).collect()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
