//! How GDAL asks for files in buckets. It reads its settings thread by thread, so that two runs that reach one bucket in
//! different ways can be at work beside each other, and keys that are renewed are never torn under its hands.
//!
//! GDAL takes a body that ends early for the end of the file. What of a remote file can't be read is therefore read
//! again, from the store and not from what GDAL remembers, before the file is said to be bad.

use std::{cell::RefCell, rc::Rc, time::Duration};

use swath_proto::access::Pass;

use crate::{
    error::{Kind, RasterError, Result},
    settings::forget,
};

thread_local! {
    static PASSES: RefCell<Rc<[Pass]>> = RefCell::new(Rc::new([]));
}

/// Works with these passes on this thread. What no prefix fits is asked for as the environment says.
pub fn with_passes<R>(passes: Vec<Pass>, work: impl FnOnce() -> R) -> R {
    struct Back(Rc<[Pass]>);
    impl Drop for Back {
        fn drop(&mut self) {
            PASSES.set(self.0.clone());
        }
    }
    let _back = Back(PASSES.replace(passes.into()));
    work()
}

/// What this thread works with, to be handed to threads that do a part of its work.
pub fn passes() -> Vec<Pass> {
    PASSES.with_borrow(|passes| passes.to_vec())
}

/// Tells GDAL how a file is reached, on this thread and until it is dropped.
pub(crate) struct Entered(Vec<&'static str>);

pub(crate) fn enter(uri: &str) -> Entered {
    let passes = PASSES.with_borrow(Rc::clone);
    let pass = passes.iter().filter(|pass| covers(&pass.prefix, uri)).max_by_key(|pass| pass.prefix.len());
    let mut options = pass.map(|pass| options(pass, uri)).unwrap_or_default();
    if path(uri).is_some() {
        // Nothing is looked for beside it: each look would be a request, for every scene.
        options.push(("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR".into()));
    }
    for (name, value) in &options {
        // Names and values without a zero byte can't be refused.
        let _ = gdal::config::set_thread_local_config_option(name, value);
    }
    Entered(options.into_iter().map(|(name, _)| name).collect())
}

impl Drop for Entered {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = gdal::config::clear_thread_local_config_option(name);
        }
    }
}

/// Whole names alone count, as in the pipeline file.
fn covers(prefix: &str, uri: &str) -> bool {
    uri.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// In GDAL's words. All of them are said each time: what is left out would be taken from the environment.
fn options(pass: &Pass, uri: &str) -> Vec<(&'static str, String)> {
    let (https, host) = match pass.endpoint.split_once("://") {
        Some(("http", host)) => ("NO", host),
        Some((_, host)) => ("YES", host),
        None => ("YES", pass.endpoint.as_str()),
    };
    let bucket = uri.strip_prefix("s3://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    // A certificate for *.host is none for a name with further dots.
    let is_virtual = !pass.path_style && !bucket.contains('.');
    let yes = |is: bool| if is { "YES" } else { "NO" }.to_owned();
    let (id, secret, token) = match &pass.keys {
        Some(keys) => (keys.id.clone(), keys.secret.clone(), keys.token.clone().unwrap_or_default()),
        None => Default::default(),
    };
    vec![
        ("AWS_HTTPS", https.into()),
        ("AWS_S3_ENDPOINT", host.trim_end_matches('/').into()),
        ("AWS_VIRTUAL_HOSTING", yes(is_virtual)),
        ("AWS_REGION", pass.region.clone()),
        ("AWS_REQUEST_PAYER", if pass.requester_pays { "requester".into() } else { String::new() }),
        ("AWS_NO_SIGN_REQUEST", yes(pass.keys.is_none())),
        ("AWS_ACCESS_KEY_ID", id),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_SESSION_TOKEN", token),
    ]
}

/// Pauses before a remote file that could not be read is read again.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// Does something with a file, as whoever may; a remote one is asked again where it seems to be damaged.
pub(crate) fn reading<R>(uri: &str, mut work: impl FnMut() -> Result<R>) -> Result<R> {
    let _entered = enter(uri);
    let Some(path) = path(uri) else { return work() };
    for pause in PAUSES {
        match work() {
            Err(error) if matches!(error.kind, Kind::Unreadable | Kind::Transient) => {
                forget(&path);
                std::thread::sleep(pause);
            }
            Err(error) => {
                forget(&path);
                return Err(error);
            }
            done => return done,
        }
    }
    let bad = match work() {
        Err(error) if error.kind == Kind::Unreadable => error,
        ended => return ended.inspect_err(|_| forget(&path)),
    };
    forget(&path);
    if !comes_whole(&path) {
        forget(&path);
        return Err(bad.of_store());
    }
    // The store may have come round just now.
    work().inspect_err(|_| forget(&path))
}

/// Whether a store gives the file's beginning and end as they are. Where it does not, it is the store that is broken.
fn comes_whole(path: &str) -> bool {
    const EDGE: u64 = 64 << 10;
    let Ok(path) = std::ffi::CString::new(path) else { return false };
    let mut bytes = vec![0_u8; EDGE as usize];
    // SAFETY: the file is closed below; what is read fits the buffer.
    unsafe {
        let file = gdal_sys::VSIFOpenL(path.as_ptr(), c"rb".as_ptr());
        if file.is_null() {
            return false;
        }
        let at_end = gdal_sys::VSIFSeekL(file, 0, 2) == 0;
        let len = gdal_sys::VSIFTellL(file);
        let edge = len.min(EDGE);
        let whole = |from: u64, bytes: &mut Vec<u8>| {
            gdal_sys::VSIFSeekL(file, from, 0) == 0
                && gdal_sys::VSIFReadL(bytes.as_mut_ptr().cast(), 1, edge as usize, file) as u64 == edge
        };
        let is_whole = at_end && whole(0, &mut bytes) && whole(len - edge, &mut bytes);
        gdal_sys::VSIFCloseL(file);
        is_whole
    }
}

/// Bytes of a file.
pub(crate) fn length(uri: &str) -> Result<u64> {
    let doing = || format!("looking at {uri}");
    let Some(path) = path(uri) else {
        return match std::fs::metadata(uri) {
            Ok(meta) => Ok(meta.len()),
            Err(error) => Err(RasterError::io(doing(), error)),
        };
    };
    let path = std::ffi::CString::new(path)
        .map_err(|_| RasterError::new(Kind::Missing, doing(), "its name holds a zero byte"))?;
    reading(uri, || {
        // SAFETY: the file is closed below.
        unsafe {
            gdal_sys::CPLErrorReset();
            let file = gdal_sys::VSIFOpenL(path.as_ptr(), c"rb".as_ptr());
            if file.is_null() {
                let why = std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg());
                return Err(RasterError::told(doing(), why.to_string_lossy().into_owned()));
            }
            gdal_sys::VSIFSeekL(file, 0, 2);
            let length = gdal_sys::VSIFTellL(file);
            gdal_sys::VSIFCloseL(file);
            Ok(length)
        }
    })
}

/// GDAL's name of a file in a bucket.
pub(crate) fn path(uri: &str) -> Option<String> {
    uri.strip_prefix("s3://").map(|rest| format!("/vsis3/{rest}"))
}

#[cfg(test)]
mod tests {
    use swath_proto::access::Keys;

    use super::*;

    fn pass(prefix: &str, endpoint: &str) -> Pass {
        let keys = Keys { id: format!("id of {prefix}"), secret: "hunter2".into(), token: None };
        Pass {
            prefix: prefix.into(),
            endpoint: endpoint.into(),
            region: "eu-west-1".into(),
            path_style: false,
            requester_pays: false,
            keys: Some(keys),
        }
    }

    fn set(name: &str) -> String {
        gdal::config::get_thread_local_config_option(name, "not set").expect("a plain name")
    }

    #[test]
    fn a_file_is_asked_for_by_the_pass_of_its_longest_prefix_and_no_longer() {
        let public = Pass { keys: None, path_style: true, ..pass("s3://a/b", "http://127.0.0.1:9000/") };
        let passes = vec![pass("s3://", "https://s3.eu-west-1.amazonaws.com"), public];
        with_passes(passes, || {
            {
                let _entered = enter("s3://a/b/c.tif");
                assert_eq!(set("AWS_S3_ENDPOINT"), "127.0.0.1:9000");
                assert_eq!((set("AWS_HTTPS"), set("AWS_VIRTUAL_HOSTING")), ("NO".into(), "NO".into()));
                assert_eq!(
                    (set("AWS_NO_SIGN_REQUEST"), set("AWS_SECRET_ACCESS_KEY")),
                    ("YES".into(), String::new())
                );
            }
            assert_eq!(set("AWS_S3_ENDPOINT"), "not set");
            {
                let _entered = enter("s3://a/bc.tif");
                assert_eq!((set("AWS_HTTPS"), set("AWS_VIRTUAL_HOSTING")), ("YES".into(), "YES".into()));
                assert_eq!(set("AWS_ACCESS_KEY_ID"), "id of s3://");
            }
            let _entered = enter("/a/b/c.tif");
            assert_eq!(set("AWS_ACCESS_KEY_ID"), "not set");
        });
        let _entered = enter("s3://a/b/c.tif");
        assert_eq!(set("AWS_S3_ENDPOINT"), "not set");
    }

    #[test]
    fn another_thread_knows_the_passes_that_it_is_handed_and_no_others() {
        with_passes(vec![pass("s3://a", "https://host")], || {
            let handed = passes();
            let endpoint = || {
                let _entered = enter("s3://a/b.tif");
                set("AWS_S3_ENDPOINT")
            };
            std::thread::scope(|scope| {
                let with = scope.spawn(|| with_passes(handed, endpoint));
                assert_eq!(with.join().expect("a thread"), "host");
                assert_eq!(scope.spawn(endpoint).join().expect("a thread"), "not set");
            });
        });
    }

    #[test]
    fn beside_a_file_in_a_bucket_nothing_is_looked_for() {
        let option = "GDAL_DISABLE_READDIR_ON_OPEN";
        for (uri, wanted) in [("s3://a/b.tif", "EMPTY_DIR"), ("/a/b.tif", "not set")] {
            let _entered = enter(uri);
            assert_eq!(set(option), wanted, "{uri}");
        }
        assert_eq!(set(option), "not set");
    }

    #[test]
    fn no_secret_is_shown() {
        assert!(!format!("{:?}", pass("s3://a", "https://b")).contains("hunter2"));
    }
}
