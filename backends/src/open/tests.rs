use super::*;

fn urls(root: &str, queue: &str, ledger: &str) -> Urls {
    Urls { root: root.into(), queue: queue.into(), ledger: ledger.into() }
}

async fn refusal(urls: Urls) -> String {
    let error = open(&urls).await.err().expect("it was opened");
    assert_eq!(error.kind, Kind::Config, "{error}");
    error.told()
}

#[tokio::test]
async fn a_folder_holds_all_three_doors() {
    let outer = tempfile::tempdir().expect("a folder");
    for root in [outer.path().join("plain"), outer.path().join("deep/er")] {
        open(&urls(&root.display().to_string(), "local:", "local:")).await.expect("opening");
        assert!(root.join("local/queue.db").is_file() && root.join("local/ledger.db").is_file());
    }
    let root = format!("file://{}/with%20blank", outer.path().display());
    open(&urls(&root, "local:", "local:")).await.expect("opening");
    assert!(outer.path().join("with blank/local/queue.db").is_file());
}

#[tokio::test]
async fn a_wrong_url_says_what_there_is() {
    let outer = tempfile::tempdir().expect("a folder");
    let root = outer.path().display().to_string();
    let words = refusal(urls("", "local:", "local:")).await;
    assert!(words.contains("folder") && words.contains("s3://"), "{words}");
    let words = refusal(urls("gs://bucket/x", "local:", "local:")).await;
    assert!(words.contains("folder") && words.contains("s3://"), "{words}");
    let words = refusal(urls("s3:/bucket/x", "local:", "local:")).await;
    assert!(words.contains("bucket"), "{words}");
    let words = refusal(urls(&root, "kafka://host", "local:")).await;
    assert!(words.contains("local:") && words.contains("amqp://"), "{words}");
    let words = refusal(urls(&root, "local:", "memcached://host")).await;
    assert!(words.contains("local:") && words.contains("redis://"), "{words}");
    let words = refusal(urls(&root, "rabbit", "local:")).await;
    assert!(words.contains("amqp://"), "{words}");
}

#[tokio::test]
async fn words_that_mean_no_door_are_refused_alike_by_those_who_open_it_and_by_those_who_do_not() {
    let outer = tempfile::tempdir().expect("a folder");
    let root = outer.path().display().to_string();
    for wrong in [
        urls("", "local:", "local:"),
        urls("gs://bucket/x", "local:", "local:"),
        urls("s3:/bucket/x", "local:", "local:"),
        urls(&root, "amq://user:hunter2@host", "local:"),
        urls(&root, "rabbit", "local:"),
        urls(&root, "local:", "memcached://host"),
    ] {
        let told = check(&wrong).expect_err("it was not refused").told();
        assert_eq!(told, refusal(wrong).await);
    }
    for (root, queue, ledger) in [
        (root.as_str(), "local:", "local:"),
        // Who only looks at a root in a bucket needs no server beside it.
        ("s3://bucket/x", "local:", "local:"),
        ("s3://bucket/x", "amqps://user:secret@host/v", "rediss://:secret@host"),
        ("not/there", "sqs://eu-central-1/x", "redis://host"),
    ] {
        check(&urls(root, queue, ledger)).expect("it was refused");
    }
    assert!(is_missing("not/there") && !is_missing(&root) && !is_missing("s3://bucket/x"));
}

#[tokio::test]
async fn local_twins_need_a_folder_and_say_so() {
    for opened in [
        open_queue("local:", "s3://bucket/x").await.map(drop),
        open_ledger("local:", "s3://bucket/x").await.map(drop),
    ] {
        let error = opened.expect_err("it was opened");
        assert_eq!(error.kind, Kind::Config);
        let words = error.told();
        assert!(words.contains("no folder") && words.contains("server"), "{words}");
    }
}

#[test]
fn a_server_has_a_host_and_a_file_has_none() {
    assert_eq!(ledger_server("local:"), None);
    assert_eq!(ledger_server("redis://:secret@cache.internal"), Some(("cache.internal".into(), 6379)));
    assert_eq!(ledger_server("rediss://user:secret@[::1]:7000/2"), Some(("::1".into(), 7000)));
}

#[tokio::test]
async fn no_password_is_ever_shown() {
    for (url, shown) in [
        ("amqp://user:hunter2@host/vhost", "amqp://user:***@host/vhost"),
        ("redis://:hunter2@host", "redis://:***@host"),
        ("redis://host:1/2", "redis://host:1/2"),
        ("redis://hunter2@host", "redis://***@host"),
        // Wrong URLs have passwords too.
        ("amqp://user:hunter2@host:port", "amqp://***@host:port"),
        ("amqp://user:hunt er2@[host", "amqp://***@[host"),
        ("amqp://user:p@hunter2@host:port", "amqp://***@host:port"),
        ("user:hunter2@host:port", "***@host:port"),
        ("/data/x", "/data/x"),
    ] {
        assert_eq!(redacted(url), shown);
    }
    let outer = tempfile::tempdir().expect("a folder");
    for queue in ["kafka://user:hunter2@host", "amqp://user:hunter2@host:port", "user:hunter2@host"] {
        let words = refusal(urls(&outer.path().display().to_string(), queue, "local:")).await;
        assert!(!words.contains("hunter2"), "{words}");
    }
}

#[tokio::test]
async fn whoever_looks_makes_nothing_and_sees_what_is_made_later() {
    let outer = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(outer.path(), outer.path().join("link")).expect("linking");
    let root = outer.path().join("link/deep/er").display().to_string();
    let looked = look_at_blobs(&root).await.expect("looking");
    assert!(look_at_ledger("local:", &root).await.expect("looking").is_none());
    assert_eq!(looked.head("a").await.expect("looking"), None);
    assert!(!outer.path().join("deep").exists(), "looking has made the root");
    let opened = open(&urls(&root, "local:", "local:")).await.expect("opening");
    opened.blobs.put("a", "x".into()).await.expect("writing");
    assert_eq!(looked.get("a").await.expect("reading"), "x");
    assert_eq!(looked.uri("a"), opened.blobs.uri("a"), "runs are named by their root");
    assert!(look_at_ledger("local:", &root).await.expect("looking").is_some());
}
