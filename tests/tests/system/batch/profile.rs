//! What a profile says of Batch: looked at by the doctor, and made of what others have written.

use super::*;

/// A home with one profile in it.
fn with_profile(site: &Site, endpoint: &str) {
    let folder = site.path("config/swath");
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "[batch]\nregion = '{REGION}'\nendpoint = '{endpoint}'\nname = 'doctor'\n[batch.cpu]\nspot = 'cpu-spot'\n\
         definition = '{DEFINITION}'\n"
    );
    std::fs::write(folder.join("aws.toml"), text).expect("writing a profile");
}

#[test]
fn the_doctor_looks_at_queues_definitions_and_jobs_and_says_what_is_missing() {
    let site = Site::new(Kind::Servers);
    let between = Between::before(moto().port());
    with_profile(&site, &between.url());
    let doctor = |code: i32| {
        let mut command = site.command(&["doctor", "--profile", "aws"]);
        let output = command.env("XDG_CONFIG_HOME", site.path("config")).output().expect("starting swath");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}{}", String::from_utf8_lossy(&output.stderr));
        told
    };
    let told = doctor(0);
    for line in [
        "the job queue cpu-spot: environment",
        "the job definition of cpu: worker-of-the-stack",
        "list this fleet's jobs",
    ] {
        assert!(told.contains(&format!("ok       {line}")), "{line}: {told}");
    }
    between.decide(|name, _| match name {
        "describejobqueues" => Say::Answer(200, json!({ "jobQueues": [] })),
        "describejobdefinitions" => Say::Answer(200, json!({ "jobDefinitions": [] })),
        _ => Say::Pass,
    });
    let told = doctor(2);
    assert!(told.contains("no such job queue") && told.contains("no such definition"), "{told}");
    assert!(between.asked("submitjob").is_empty() && between.asked("registerjobdefinition").is_empty());
}

#[test]
fn a_profile_is_made_of_raster_visions_and_nobody_elses_is_overwritten() {
    let site = Site::new(Kind::Embedded);
    let folder = site.path("rastervision");
    std::fs::create_dir_all(&folder).expect("a folder");
    let ini = "[AWS_BATCH]\njob_queue=gpu\njob_definition=def\nattempts=5\n[PLUGINS]\nmodules=[]\n";
    std::fs::write(folder.join("seeds"), ini).expect("writing an INI file");
    let swath = |args: &[&str], code: i32| {
        let mut command = site.command(args);
        command.env("XDG_CONFIG_HOME", site.path("config")).env("RV_CONFIG_DIR", &folder);
        let output = command.output().expect("starting swath");
        let told =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        told
    };
    // Used as it is, and taken over.
    let shown = swath(&["profile", "show", "seeds"], 0);
    assert!(shown.contains("spot = \"gpu\"") && shown.contains("attempts = 5"), "{shown}");
    let told = swath(&["profile", "import", "seeds"], 0);
    assert!(told.contains("[PLUGINS] modules has no counterpart"), "{told}");
    let made = site.path("config/swath/seeds.toml");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&made).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    std::fs::write(&made, "# mine\n").expect("writing");
    let told = swath(&["profile", "import", "seeds"], 2);
    assert!(told.contains("--force"), "{told}");
    assert_eq!(std::fs::read_to_string(&made).expect("reading"), "# mine\n");
    swath(&["profile", "import", "seeds", "--force"], 0);
    assert!(std::fs::read_to_string(&made).expect("reading").contains("[batch.gpu]"));

    for (text, wanted) in [
        ("[fleet]\nworker_max = 3\n", "unknown field"),
        ("[fleet]\nfleet = 'local'\nworkers_min = 9\nworkers_max = 3\n", "--workers-min 9"),
        (
            "[fleet]\nfleet = 'batch'\nworkers_max = 3\n[batch.cpu]\nspot = 'q'\ndefinition = 'd'\n",
            "can't reach --root",
        ),
        ("quue = 'amqp://host'\n", "did you mean queue?"),
    ] {
        std::fs::write(&made, text).expect("writing");
        let told = swath(&["profile", "show", "seeds"], 2);
        assert!(told.contains(wanted), "{text}: {told}");
    }

    let stack = r#"{"Stacks": [{"StackName": "maps", "StackStatus": "ROLLBACK_COMPLETE"}]}"#;
    std::fs::write(site.path("stack.json"), stack).expect("writing");
    let told = swath(&["profile", "from-outputs", "stack.json"], 2);
    assert!(told.contains("ROLLBACK_COMPLETE") && told.contains("describe-stack-events"), "{told}");
}
