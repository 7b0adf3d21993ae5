//! The words that are run: every page's commands, as they stand, in a fresh folder with `examples/` in it. Read
//! `page` first.

mod page;

use std::{
    collections::BTreeSet,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use self::page::Page;
use crate::{
    shared_servers::{self, shared},
    site::program,
};

/// Against hanging, a page.
const PATIENCE: Duration = Duration::from_secs(3600);
const MINUTES: Option<&str> = Some("minutes");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

/// Files below a folder, past those that builds and runs leave there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("listing").map(|entry| entry.expect("an entry")) {
        let (path, name) = (entry.path(), entry.file_name().into_string().expect("UTF-8"));
        let left =
            ["target", "node_modules", "data", "demo", "swath", "__pycache__"].contains(&name.as_str());
        match entry.file_type().expect("its type") {
            kind if kind.is_dir() && !left && !name.starts_with('.') => found.extend(files(&path)),
            kind if kind.is_file() => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

/// Names of all pages, and what they say.
fn texts() -> Vec<(String, String)> {
    let repository = repository();
    let pages = files(&repository).into_iter().filter(|path| path.extension().is_some_and(|end| end == "md"));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&repository).expect("below it").to_str().expect("UTF-8").to_owned();
        (name, std::fs::read_to_string(&path).expect("a page"))
    };
    pages.map(read).collect()
}

/// All pages; none may have a block of which nothing is known.
fn pages() -> Vec<Page> {
    let read = texts().into_iter().map(|(name, text)| Page::read(&name, &text));
    let (pages, wrong): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
    let wrong: String = wrong.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{wrong}");
    let pages: Vec<_> = pages.into_iter().flatten().collect();
    assert!(pages.iter().any(|page| page.name == "docs/tutorial.md"), "pages are looked for where they are");
    pages
}

/// Runs a page, with its blocks of a reason too. What it says where it fails.
fn run(page: &Page, with: Option<&str>, instead: &[(&str, String)]) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let here = folder.path().join("here");
    for file in files(&repository().join("examples")) {
        let to = here.join(file.strip_prefix(repository()).expect("below it"));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("making it");
        std::fs::copy(&file, &to).expect("copying an example");
    }
    let script = instead.iter().fold(page.script(with), |script, (word, other)| script.replace(*word, other));
    let (file, log) = (folder.path().join("page.sh"), folder.path().join("log"));
    std::fs::write(&file, script).expect("writing the script");
    let said = std::fs::File::create(&log).expect("creating a log");
    let path = std::env::var("PATH").unwrap_or_default();
    let beside = program().canonicalize().expect("the program");
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail"])
        .arg(&file)
        .current_dir(&here)
        .env("PATH", format!("{}:{path}", beside.parent().expect("its folder").display()))
        .env("PAGE", &page.name)
        .env("XDG_CONFIG_HOME", folder.path().join("config"))
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("a second handle"))
        .stderr(said)
        .process_group(0);
    for variable in ["SWATH_ROOT", "SWATH_QUEUE", "SWATH_LEDGER", "SWATH_PROFILE"] {
        command.env_remove(variable);
    }
    let mut bash = command.spawn().expect("starting bash");
    let started = Instant::now();
    let status = loop {
        if let Some(status) = bash.try_wait().expect("its state") {
            break Some(status);
        }
        if started.elapsed() > PATIENCE {
            // SAFETY: a group that was made for our own child, which is not yet waited for.
            unsafe { libc::kill(-(bash.id() as libc::pid_t), libc::SIGKILL) };
            bash.wait().expect("its end");
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    println!("{}: {:.1} s", page.name, started.elapsed().as_secs_f64());
    if status.is_some_and(|status| status.success()) {
        return Ok(());
    }
    let said = std::fs::read(&log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said[said.len().saturating_sub(6000)..]).into_owned();
    let how = status.map_or(format!("not over after {PATIENCE:?}"), |status| status.to_string());
    Err(format!("{}: {how}\n{said}\n", page.name))
}

fn run_all(pages: &[Page], with: Option<&str>) {
    let failed: String = pages.iter().filter_map(|page| run(page, with, &doors()).err()).collect();
    assert!(failed.is_empty(), "{failed}");
}

/// Where pages listen, others may on this machine.
fn doors() -> Vec<(&'static str, String)> {
    [":7878", ":7879", ":9464"].map(|door| (door, format!(":{}", swath_tests::free_port()))).into()
}

#[test]
fn commands_of_all_pages_run_as_they_stand() {
    let pages: Vec<_> = pages().into_iter().filter(|page| page.runs(None)).collect();
    assert!(pages.iter().any(|page| page.name == "README.md"));
    run_all(&pages, None);
}

#[test]
fn commands_for_servers_run_on_servers() {
    let pages: Vec<_> = pages().into_iter().filter(|page| page.runs(Some("servers"))).collect();
    assert!(!pages.is_empty());
    shared();
    for page in pages {
        let (root, queue, ledger) = shared_servers::urls(&format!("d{:08x}", rand::random::<u32>()));
        let mut instead = doors();
        instead.extend([
            ("s3://bucket/prefix", root),
            ("amqp://guest:guest@127.0.0.1", queue),
            ("redis://127.0.0.1", ledger),
        ]);
        run(&page, Some("servers"), &instead).unwrap_or_else(|failed| panic!("{failed}"));
    }
}

#[test]
#[ignore = "half an hour on two cores: make test-docs"]
fn what_takes_minutes_runs_as_it_stands() {
    let pages: Vec<_> = pages().into_iter().filter(|page| page.runs(MINUTES)).collect();
    assert!(!pages.is_empty());
    run_all(&pages, MINUTES);
}

/// What is not run names at least what there is.
#[test]
fn commands_that_are_not_run_have_options_and_targets_that_there_are() {
    let makefile = std::fs::read_to_string(repository().join("Makefile")).expect("Makefile");
    let mut wrong = String::new();
    for page in pages() {
        for block in page.blocks.iter().filter(|block| matches!(block.kind, page::Kind::NotRun(_))) {
            let text = block.text.join("\n").replace("\\\n", " ");
            for line in text.lines().map(|line| line.split(" #").next().unwrap_or_default()) {
                let mut words = line.split_whitespace();
                let bad: Vec<_> = match words.next() {
                    Some("make") => words.filter(|target| !is_target(&makefile, target)).collect(),
                    Some("swath") => options_that_there_are_not(&words.collect::<Vec<_>>()),
                    _ => continue,
                };
                if !bad.is_empty() {
                    wrong += &format!("{}:{}: {line:?}: there is no {bad:?}\n", page.name, block.line);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn is_target(makefile: &str, target: &str) -> bool {
    target.contains('=')
        || makefile.lines().any(|line| line.split_once(':').is_some_and(|(name, _)| name == target))
}

fn options_that_there_are_not<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let help = |command: &[&str]| {
        let output = Command::new(program()).args(command).arg("--help").output().expect("starting swath");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // Commands have commands: `fleet status`, `fleet gang start`.
    let names = words.iter().take_while(|word| !word.starts_with('-')).count();
    let told = (1..=names).rev().find_map(|n| help(&words[..n])).unwrap_or_default();
    let there: BTreeSet<&str> =
        told.split(|letter: char| !(letter.is_ascii_lowercase() || "-0123456789".contains(letter))).collect();
    let options = words.iter().copied().filter(|word| word.starts_with("--"));
    options.filter(|option| !there.contains(option.split('=').next().unwrap_or_default())).collect()
}

#[test]
fn a_command_that_fails_is_told_with_page_and_line_and_so_is_one_that_does_not_stay() {
    let page = |text: &str| Page::read("bad.md", text).expect("a page");
    let told = run(&page("# A\n\n```sh\ntrue\nls examples/quickstart.toml\nfalse\n```\n"), None, &[]);
    let told = told.expect_err("fails");
    assert!(told.contains("bad.md:6: failed: false") && told.contains("examples/quickstart.toml"), "{told}");
    let stays = "# A\n\n```sh,stays\nsleep 600\n```\n\n```sh\ntrue\n```\n";
    run(&page(stays), None, &[]).expect("what stays is ended");
    let told =
        run(&page(&stays.replace("sleep 600", "true").replace("```sh\ntrue", "```sh\nsleep 1")), None, &[]);
    assert!(told.expect_err("has left").contains("No such process"));
}
