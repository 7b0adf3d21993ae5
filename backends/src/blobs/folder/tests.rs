use futures::TryStreamExt as _;

use super::*;
use crate::{
    contract,
    killed::{self, Victim},
};

async fn keys(folder: &Folder, prefix: &str) -> Vec<String> {
    let listed: Vec<Listed> = folder.list(prefix).try_collect().await.expect("listing");
    listed.into_iter().map(|listed| listed.key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_the_contract() {
    let root = tempfile::tempdir().expect("a folder");
    contract::blobs::all(Arc::new(Folder::open(root.path()).expect("opening")), true).await;
}

#[tokio::test]
async fn no_key_leads_out_of_the_root() {
    let outer = tempfile::tempdir().expect("a folder");
    std::fs::write(outer.path().join("secret"), "x").expect("writing");
    let folder = Folder::open(&outer.path().join("root")).expect("opening");
    folder.put("a/b", "x".into()).await.expect("writing");
    let absolute = outer.path().join("secret").display().to_string();
    for key in ["../secret", "a/../../secret", "", "/", "a//b", "a/", "./a", ".tmp/x", "a\0b", &absolute] {
        let error = folder.put_new(key, "y".into()).await.expect_err(key);
        assert_eq!(error.kind, Kind::Config, "{key}");
        let error = folder.get(key).await.expect_err(key);
        assert_eq!(error.kind, Kind::Config, "{key}");
    }
    let piece = Piece::Range { key: "../secret".into(), range: 0..1 };
    let error = folder.compose_new("c", vec![piece]).await.expect_err("composing");
    assert_eq!(error.kind, Kind::Config);
    let outside = format!("{}/", outer.path().display());
    for prefix in ["../", "../s", "a/../../", "/", &outside, ".tmp/", "a//"] {
        assert_eq!(keys(&folder, prefix).await, [""; 0], "{prefix}");
    }
    assert_eq!(keys(&folder, "").await, ["a/b"]);
}

#[tokio::test]
async fn a_folder_within_the_root_is_no_object() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = Folder::open(root.path()).expect("opening");
    folder.put("a/b", "x".into()).await.expect("writing");
    assert_eq!(folder.get("a").await.expect_err("reading").kind, Kind::NotFound);
    assert_eq!(folder.get_range("a", 0..1).await.expect_err("reading").kind, Kind::NotFound);
    assert_eq!(folder.head("a").await.expect("looking"), None);
    folder.delete("a").await.expect("deleting what is not there");
    assert_eq!(folder.get("a/b").await.expect("reading"), "x");
}

#[tokio::test]
async fn what_a_dead_process_left_behind_is_cleaned_up_and_what_is_young_is_not() {
    let root = tempfile::tempdir().expect("a folder");
    Folder::open(root.path()).expect("opening");
    let (old, young) = (root.path().join(".tmp/old"), root.path().join(".tmp/young"));
    std::fs::write(&young, "x").expect("writing");
    let file = File::create(&old).expect("writing");
    file.set_modified(SystemTime::now() - LEFT_BEHIND * 2).expect("setting the time");
    Folder::open(root.path()).expect("opening");
    assert!(!old.exists() && young.exists());
}

#[tokio::test]
async fn a_writer_leaves_nothing_behind() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = Folder::open(root.path()).expect("opening");
    folder.put_new("a", "x".into()).await.expect("writing");
    folder.put_new("a", "y".into()).await.expect("writing again");
    folder.put("a", "z".into()).await.expect("replacing");
    let missing = Piece::Range { key: "none".into(), range: 0..1 };
    folder.compose_new("b", vec![missing]).await.expect_err("composing what is not there");
    assert_eq!(std::fs::read_dir(root.path().join(TEMPORARY)).expect("the folder").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_killed_leaves_whole_objects_or_none() {
    const LEN: usize = 3 << 20;
    if let Some(root) = killed::folder() {
        let folder = Folder::open(&root).expect("opening");
        for number in 0..=255_u8 {
            folder.put_new(&format!("o/{number}"), vec![number; LEN].into()).await.expect("writing");
            killed::say(&format!("o/{number}"));
        }
    }
    let root = tempfile::tempdir().expect("a folder");
    let folder = Folder::open(root.path()).expect("opening");
    let test = "a_writer_that_is_killed_leaves_whole_objects_or_none";
    for round in 0..4 {
        let mut victim = Victim::start(&format!("{}::{test}", module_path!()), root.path());
        let mut said: Vec<String> = (0..3 + round).map_while(|_| victim.hear()).collect();
        said.extend(victim.kill());
        let there = keys(&folder, "o/").await;
        assert!(said.iter().all(|key| there.contains(key)), "an object that was written is not there");
        for key in there {
            let number: u8 = key[2..].parse().expect("a number");
            assert!(folder.get(&key).await.expect("reading") == vec![number; LEN], "{key} is torn");
            folder.delete(&key).await.expect("deleting");
        }
    }
}

#[test]
fn a_full_disk_is_told_from_a_fault_that_passes() {
    for (code, wanted) in
        [(28, Kind::Full), (122, Kind::Full), (13, Kind::Refused), (2, Kind::NotFound), (5, Kind::Transient)]
    {
        assert_eq!(kind(&io::Error::from_raw_os_error(code)), wanted, "errno {code}");
    }
}
