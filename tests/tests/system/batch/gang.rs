//! Machines that train together, by their name.

use super::*;

#[test]
fn a_gang_is_started_once_shown_and_ended_by_its_name() {
    let site = Site::new(Kind::Servers);
    let between = Between::before(moto().port());
    let folder = site.path("config/swath");
    std::fs::create_dir_all(&folder).expect("a folder");
    let text = format!(
        "[batch]\nregion = '{REGION}'\nendpoint = '{}'\nname = 'together'\n[batch.gpu]\non_demand = 'gpu-on-demand'\n\
         definition = '{DEFINITION}'\n[batch.trainer]\ndefinition = '{DEFINITION}'\n",
        between.url()
    );
    std::fs::write(folder.join("aws.toml"), text).expect("writing a profile");
    let swath = |args: &[&str], code: i32| {
        let mut command = site.command(&[&["fleet", "gang"][..], args, &["--profile", "aws"]].concat());
        let output = command.env("XDG_CONFIG_HOME", site.path("config")).output().expect("starting swath");
        let told =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        told
    };
    let told = swath(&["status", "roofs"], 2);
    assert!(told.contains("no gang roofs was ever started"), "{told}");
    let training =
        "output = \"roofs/\"\nshards.train = [\"chips/\"]\n[train]\narchitecture = \"tiny\"\nclasses = 2\n";
    std::fs::write(site.path("roofs.toml"), format!("{training}epoch = 1\n")).expect("writing");
    let told = swath(&["start", "roofs.toml", "--machines", "3"], 2);
    assert!(told.contains("roofs.toml: ") && told.contains("unknown field `epoch`"), "{told}");
    std::fs::write(site.path("roofs.toml"), training).expect("writing");
    let told = swath(&["start", "roofs.toml", "--machines", "3", "--least-ranks", "4"], 2);
    assert!(told.contains("training would never begin"), "{told}");
    assert!(between.asked("submitjob").is_empty());

    // As long as it is at work: the emulator's jobs are over at once.
    let working = |name: &str, asked: &Value| {
        let told = |id: &Value| {
            let is_child = id.as_str().is_some_and(|id| id.contains(':'));
            let array = if is_child { json!({ "index": 0 }) } else { json!({ "size": 3 }) };
            json!({ "jobId": id, "status": "RUNNING", "createdAt": 1_795_960_647_231_i64, "arrayProperties": array })
        };
        match name {
            "describejobs" => {
                let jobs: Vec<Value> = asked["jobs"].as_array().into_iter().flatten().map(told).collect();
                Say::Answer(200, json!({ "jobs": jobs }))
            }
            "terminatejob" => Say::Answer(200, json!({})),
            _ => Say::Pass,
        }
    };
    between.decide(working);
    let start = ["start", "roofs.toml", "--machines", "3", "--ranks", "2", "--least-ranks", "4"];
    let told = swath(&start, 0);
    assert!(told.contains("the gang roofs is started, with 3 machines (on-demand)"), "{told}");
    let told = swath(&start, 0);
    assert!(told.contains("is there already, with 3 machines"), "{told}");
    // Batch tells of new jobs late: another order beside this one would be a second gang of its name.
    between.decide(move |name, asked| match name {
        "listjobs" => Say::Answer(200, json!({ "jobSummaryList": [] })),
        _ => working(name, asked),
    });
    let told = swath(&["start", "roofs.toml", "--machines", "2"], 2);
    assert!(told.contains("not listed yet") && told.contains("another name"), "{told}");
    between.decide(working);
    let told = swath(&["start", "roofs.toml", "--machines", "2"], 2);
    assert!(told.contains("swath fleet gang stop roofs"), "{told}");
    let [submitted] = &between.asked("submitjob")[..] else { panic!("{:?}", between.asked("submitjob")) };
    assert_eq!(
        (&submitted["jobQueue"], &submitted["arrayProperties"]["size"]),
        (&json!("gpu-on-demand"), &json!(3))
    );
    let command: Vec<&str> = submitted["containerOverrides"]["command"]
        .as_array()
        .expect("a command")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let ["train", file, rest @ ..] = &command[..] else { panic!("{command:?}") };
    assert_eq!(rest, ["--gang", "roofs", "--ranks", "2", "--least-ranks", "4"]);
    let key = file.strip_prefix("root:").expect("a key under the root");
    assert_eq!(site.object(key), training.as_bytes());
    let told = swath(&["status", "roofs"], 0);
    assert!(told.contains("3 machines with 2 ranks each") && told.matches("running").count() == 3, "{told}");
    let told = swath(&["stop", "roofs"], 0);
    assert!(told.contains("3 machines told to end") && between.asked("terminatejob").len() == 3, "{told}");
    // The same again, once it is over, is another order.
    between.decide(|_, _| Say::Pass);
    swath(&start, 0);
    assert_eq!(between.asked("submitjob").len(), 2);
    assert_ne!(between.asked("submitjob")[1]["jobName"], submitted["jobName"]);
}
