//! Passwords come from files or the environment, and are seen nowhere else: not in logs, however much they tell, nor in
//! what is printed, nor in what lies under the root.

use std::path::Path;

use futures::TryStreamExt as _;
use swath_backends::open::open_blobs;

use crate::{
    same_bytes::run_name,
    shared_servers::{shared, urls},
    site::{Kind, Site, pipeline},
};

const SECRET: &str = "hunter2-of-the-broker";
/// All that our own code and the clients of queue and ledger have to tell.
const TELL_ALL: &str = "trace,aws_config=info,aws_runtime=info,aws_sdk_s3=info,aws_smithy_http_client=info,\
                        aws_smithy_runtime=info,aws_smithy_runtime_api=info,hyper_util=info";

fn written(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => written(&path, found),
            false => found.push((path.display().to_string(), std::fs::read(&path).expect("reading"))),
        }
    }
}

#[test]
fn no_password_is_told_or_written_by_a_run() {
    let broker = &shared().rabbitmq;
    broker.control(&["add_user", "secretive", SECRET]);
    broker.control(&["set_permissions", "secretive", ".*", ".*", ".*"]);
    let site = Site::new(Kind::Servers);
    let (_, _, ledger) = urls("secrets");
    let queue = site.queue.replace("guest:guest", &format!("secretive:{SECRET}"));
    let secrets = [SECRET, swath_tests::redis::PASSWORD];
    // Beside what is looked through.
    let vault = tempfile::tempdir().expect("a folder");
    let [queue_file, ledger_file] = ["queue", "ledger"].map(|name| vault.path().join(name));
    std::fs::write(&queue_file, format!("{queue}\n")).expect("writing");
    std::fs::write(&ledger_file, &ledger).expect("writing");
    let logs = site.path("logs");
    std::fs::create_dir(&logs).expect("a folder");
    let command = |args: &[&str]| {
        let mut command = site.command(args);
        command
            .env_remove("SWATH_QUEUE")
            .env_remove("SWATH_LEDGER")
            .env("SWATH_QUEUE_FILE", &queue_file)
            .env("SWATH_LEDGER_FILE", &ledger_file)
            .env("TMPDIR", &logs)
            .env("RUST_LOG", TELL_ALL);
        command
    };
    let file = pipeline(&site, "item_px = 512", "");
    let file = file.to_str().expect("UTF-8");
    let ran = command(&["run", file, "--workers", "1"]).output().expect("starting swath");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let run = run_name(&ran.stdout);
    let mut found = vec![("run".to_owned(), [ran.stdout, ran.stderr].concat())];
    for args in [&["status", &run, "--json"][..], &["items", &run], &["doctor"], &["plan", file]] {
        let told = command(args).output().expect("starting swath");
        assert!(told.status.success(), "{args:?}: {}", String::from_utf8_lossy(&told.stderr));
        found.push((args.join(" "), [told.stdout, told.stderr].concat()));
    }
    written(site.folder.path(), &mut found);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let root = open_blobs(&site.root).await.expect("the root");
        let objects: Vec<_> = root.list("").try_collect().await.expect("listing");
        for object in objects {
            let body = root.get(&object.key).await.expect("reading");
            found.push((object.key, body.to_vec()));
        }
    });
    let worker_log = found.iter().find(|(name, _)| name.ends_with("worker-1.log"));
    let worker_log = String::from_utf8_lossy(&worker_log.expect("a worker's log").1);
    assert!(worker_log.contains("TRACE") && worker_log.contains("claimed"), "the logs tell too little");
    for (name, content) in &found {
        for secret in secrets {
            let at = content.windows(secret.len()).position(|window| window == secret.as_bytes());
            let line =
                at.map(|at| String::from_utf8_lossy(&content[at.saturating_sub(300)..at]).into_owned());
            assert_eq!(line, None, "{name} tells the password {secret}");
        }
    }
    let both = command(&["doctor"]).env("SWATH_QUEUE", &queue).output().expect("starting swath");
    let told = String::from_utf8_lossy(&both.stderr).into_owned();
    assert_eq!(both.status.code(), Some(2), "{told}");
    assert!(told.contains("SWATH_QUEUE is set too") && !told.contains(SECRET), "{told}");
}
