//! How buckets are reached: by which keys and settings, those of other people too, and what is said where they are wrong.

use std::collections::BTreeSet;

use swath_tests::{
    s3::BUCKET,
    s3_faults::{Fault, Faults, Seen},
};

use crate::{
    s3::prefix,
    same_bytes::run_name,
    shared_servers::shared,
    site::{self, Site, TINY, scene},
};

/// What was asked for below a prefix, by the SDK or by GDAL.
fn asked<'a>(seen: &'a [Seen], prefix: &str, by_sdk: bool) -> Vec<&'a Seen> {
    let path = format!("/{BUCKET}/{prefix}/");
    let is_sdk =
        |request: &Seen| request.header("user-agent").is_some_and(|agent| agent.contains("aws-sdk-rust"));
    seen.iter().filter(|request| request.path.starts_with(&path) && is_sdk(request) == by_sdk).collect()
}

fn signed_with(request: &Seen) -> Option<String> {
    let credential = request.header("authorization")?.split_once("Credential=")?.1;
    Some(credential.split('/').next().unwrap_or_default().to_owned())
}

/// Images and labels of one run lie in places that are each reached in another way. SDK and GDAL ask alike; the
/// root is reached as the environment says.
#[test]
fn each_place_is_reached_as_its_entry_says_by_sdk_and_gdal_alike() {
    let site = Site::new(site::Kind::Servers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let blobs =
        runtime.block_on(swath_backends::open::open_blobs(&format!("s3://{BUCKET}"))).expect("the bucket");
    let base = prefix("access");
    for (place, files) in [
        ("role", ["scene-1.tif", "scene-1.geojson"].as_slice()),
        ("profile", &["scene-2.tif"]),
        ("public", &["scene-2.geojson"]),
    ] {
        for file in files {
            let body = std::fs::read(scene().join(file)).expect("a drawn file");
            runtime.block_on(blobs.put(&format!("{base}/{place}/{file}"), body.into())).expect("uploading");
        }
    }
    let faults = Faults::before(shared().s3.port());
    let (url, at) = (faults.url(), format!("s3://{BUCKET}/{base}"));
    let pipeline = format!(
        r##"
name = "access"
scenes = [
    {{ images = "{at}/role/*.tif", labels = "{at}/role/scene-1.geojson" }},
    {{ image = "{at}/profile/scene-2.tif", labels = "{at}/public/scene-2.geojson" }},
]
{TINY}
[[access]]
prefix = "{at}/role"
role = "arn:aws:iam::000000000000:role/reader"
requester_pays = true
endpoint = "{url}"
[[access]]
prefix = "{at}/profile"
profile = "partner"
endpoint = "{url}"
[[access]]
prefix = "{at}/public"
anonymous = true
endpoint = "{url}"
region = "eu-west-1"
"##
    );
    let file = site.path("access.toml");
    std::fs::write(&file, pipeline).expect("writing the pipeline");
    let profiles = site.path("credentials");
    std::fs::write(
        &profiles,
        "[partner]\naws_access_key_id = PARTNERSKEY\naws_secret_access_key = partners-secret\n",
    )
    .expect("writing a profile");
    let output = site
        .command(&["run", file.to_str().expect("UTF-8")])
        .env("AWS_SHARED_CREDENTIALS_FILE", &profiles)
        .env("AWS_CONFIG_FILE", site.path("none"))
        .output()
        .expect("starting swath");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let seen = faults.seen();
    for by_sdk in [true, false] {
        let of_role = asked(&seen, &format!("{base}/role"), by_sdk);
        assert!(!of_role.is_empty(), "nobody has asked (SDK: {by_sdk})");
        for request in of_role {
            assert!(request.header("x-amz-security-token").is_some(), "not as the role: {request:?}");
            assert_eq!(request.header("x-amz-request-payer"), Some("requester"), "{request:?}");
            let signed = request.header("authorization").unwrap_or_default();
            assert!(signed.contains("x-amz-request-payer"), "it is not signed: {request:?}");
        }
        let of_profile = asked(&seen, &format!("{base}/profile"), by_sdk);
        let keys: BTreeSet<_> = of_profile.into_iter().filter_map(signed_with).collect();
        assert_eq!(keys, BTreeSet::from(["PARTNERSKEY".to_owned()]), "SDK: {by_sdk}");
        let public = asked(&seen, &format!("{base}/public"), by_sdk);
        assert!(!public.is_empty(), "nobody has asked (SDK: {by_sdk})");
        assert!(public.iter().all(|request| signed_with(request).is_none()), "{public:?}");
    }
    let others: Vec<_> = seen.iter().filter(|request| !request.path.contains(&base)).collect();
    assert!(others.is_empty(), "the root is no concern of the entries: {others:?}");
    // Names are kept with the run, secrets are not, nor are they told.
    let run = run_name(&output.stdout);
    for text in [String::from_utf8_lossy(&site.object(&format!("runs/{run}/run.json"))).into_owned(), said] {
        assert!(!text.contains("partners-secret") && !text.contains("PARTNERSKEY"), "{text}");
    }
}

/// `swath doctor` with this set-up: its exit code, and what it says of the root.
fn doctor(site: &Site, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output =
        site.command(&["doctor"]).envs(environment.iter().copied()).output().expect("starting swath");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let root = text.lines().find(|line| line.contains(" root ")).unwrap_or(&text).to_owned();
    (output.status.code(), root)
}

#[test]
fn a_wrong_set_up_is_told_at_the_start_with_what_to_do() {
    const CONFIG: Option<i32> = Some(2);
    const REFUSED: Option<i32> = Some(4);
    let site = Site::new(site::Kind::Servers);
    let faults = Faults::before(shared().s3.port());
    let url = faults.url();
    for (answer, code, words) in [
        (Fault::Answer(403, "InvalidAccessKeyId", ""), REFUSED, "AWS_ACCESS_KEY_ID"),
        (Fault::Answer(403, "SignatureDoesNotMatch", ""), REFUSED, "AWS_SECRET_ACCESS_KEY"),
        (Fault::Answer(403, "AccessDenied", ""), REFUSED, "docs/servers.md"),
        (Fault::Answer(403, "RequestTimeTooSkewed", ""), REFUSED, "clock"),
        (
            Fault::Answer(301, "PermanentRedirect", "x-amz-bucket-region: eu-west-1"),
            CONFIG,
            "AWS_REGION=eu-west-1",
        ),
        (Fault::Answer(404, "NoSuchBucket", ""), CONFIG, "bucket"),
        (Fault::Answer(503, "SlowDown", ""), REFUSED, "SlowDown"),
    ] {
        faults.begin_anew();
        faults.next(usize::MAX, answer.clone(), |_| true);
        let (exit, said) = doctor(&site, &[("AWS_ENDPOINT_URL", &url)]);
        assert!(exit == code && said.contains(words), "{answer:?}: {exit:?} {said}");
    }
    let (exit, said) = doctor(&site, &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9")]);
    assert!(exit == REFUSED && said.contains("127.0.0.1:9") && said.contains("refused"), "{exit:?} {said}");
    // The store's certificate is for another name, by an authority that nobody knows.
    let tls = format!("https://127.0.0.1:{}", shared().s3.port());
    let (exit, said) = doctor(&site, &[("AWS_ENDPOINT_URL", &tls)]);
    assert!(exit == CONFIG && said.contains("certificate"), "{exit:?} {said}");
    let none = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let (exit, said) = doctor(&site, &none);
    assert!(exit == CONFIG && said.contains("AWS_PROFILE"), "{exit:?} {said}");
}
