//! Disks without room: of the root, and of the cache for models. Nothing half-written has a name, the words are
//! clear, and with room again the same command goes on.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use swath_proto::{outcome::FailureClass, status::RunState};

use crate::{
    same_bytes::{reference, run_name},
    site::{Kind, Made, Site, pipeline},
};

/// A disk of its own for a test; takes root.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, room: &str) -> Self {
        std::fs::create_dir_all(at).expect("a folder to mount on");
        let disk = Self(at.to_owned());
        disk.run(Command::new("mount").args(["-t", "tmpfs", "-o", room, "tmpfs"]).arg(at));
        disk
    }

    fn give_room(&self, room: &str) {
        self.run(Command::new("mount").args(["-o", &format!("remount,{room}")]).arg(&self.0));
    }

    fn run(&self, command: &mut Command) {
        let output = command.output().expect("starting mount");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process of a test that failed may still be in there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_root_without_room_ends_the_run_with_clear_words_and_with_room_it_goes_on() {
    let mut site = Site::new(Kind::Embedded);
    let disk = Disk::mount(&site.path("disk"), "size=3m");
    site.root = site.path("disk/root").to_str().expect("UTF-8").to_owned();
    let file = pipeline(&site, "item_px = 256", "");
    let args = ["run", file.to_str().expect("UTF-8"), "--workers", "2", "--grace", "1"];
    let output = site.command(&args).output().expect("starting swath");
    let told =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("No space left on device") || told.contains("disk is full"), "{told}");
    assert!(told.contains("make room"), "{told}");
    disk.give_room("size=500m");
    let again = site.swath(&args, 0);
    Made::of(&site, &run_name(&again.stdout)).assert_same(reference(), "after the disk was full");
}

/// A pipeline whose network has its weights in a file.
fn with_weights(site: &Site) -> PathBuf {
    let learnt = crate::learns::here();
    let bundle = swath_bundle::Bundle::from_bytes("bundle.zip", learnt.bundle.clone()).expect("a bundle");
    let weights = site.path("weights.safetensors");
    std::fs::write(&weights, bundle.weights_file().expect("its weights")).expect("writing weights");
    let file = pipeline(site, "item_px = 2048", "max_failures = 2");
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    std::fs::write(&file, text.replace("seed = 3", &format!("weights = \"{}\"", weights.display())))
        .expect("writing the pipeline");
    file
}

/// Runs it with a cache of its own, to this exit code: the run's name.
fn run(site: &Site, file: &Path, code: i32) -> String {
    let mut command = site.command(&["run", file.to_str().expect("UTF-8"), "--workers", "1"]);
    let output = command.env("XDG_CACHE_HOME", site.path("cache")).output().expect("starting swath");
    let told = format!("{output:?}");
    assert_eq!(output.status.code(), Some(code), "{told}");
    run_name(&output.stdout)
}

#[test]
fn a_cache_without_room_is_a_lack_of_capacity_and_blames_no_data() {
    let site = Site::new(Kind::Embedded);
    let file = with_weights(&site);
    // Not even a name fits.
    let disk = Disk::mount(&site.path("cache"), "size=4k,nr_inodes=1");
    let name = run(&site, &file, 1);
    let status = site.status(&name).expect("a status");
    assert_eq!(status.state, RunState::Failed, "without a probe there is nothing to begin with: {status:?}");
    let failed = &status.failures[0];
    assert_eq!((failed.failure.class, failed.attempts), (FailureClass::Capacity, 2), "{failed:?}");
    assert!(failed.failure.message.contains("No space left on device"), "{failed:?}");
    disk.give_room("size=100m,nr_inodes=1000");
    site.swath(&["items", &name, "replay", "--all"], 0);
    assert_eq!(run(&site, &file, 0), name);
}

#[test]
fn a_model_takes_no_room_in_a_cache_on_the_disk_of_its_root() {
    let site = Site::new(Kind::Embedded);
    run(&site, &with_weights(&site), 0);
    let models = std::fs::read_dir(Path::new(&site.root).join("models")).expect("models of the root");
    let models: Vec<_> = models.map(|entry| entry.expect("an entry")).collect();
    assert!(!models.is_empty());
    for model in models {
        let cached = site.path("cache/swath/models").join(model.file_name());
        let cached =
            std::fs::metadata(&cached).unwrap_or_else(|error| panic!("{}: {error}", cached.display()));
        assert_eq!(cached.ino(), model.metadata().expect("a file").ino());
    }
}
