//! Encoders that torchvision publishes: fetched once, kept in a folder under their name, and believed
//! once they hash to it.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use swath_weights::imagenet::{MIRROR, Published, find};

use crate::error::{Kind, Result, TrainError};

/// Where else to fetch from: an address, or a folder that has the files.
pub const MIRROR_VARIABLE: &str = "SWATH_WEIGHTS_MIRROR";

/// Those that torchvision trains its own segmentation networks from.
const WEIGHTS: &str = "IMAGENET1K_V1";
/// None is larger.
const MAX_LEN: u64 = 1 << 30;

/// The file of a ResNet. `mirror` comes before the environment, and that before torchvision's own.
pub fn backbone(model: &str, cache: &Path, mirror: Option<&str>) -> Result<PathBuf> {
    let unknown = || TrainError::config(format!("torchvision publishes no {model} of {WEIGHTS}"));
    let variable = std::env::var(MIRROR_VARIABLE).ok().filter(|mirror| !mirror.is_empty());
    fetch(find(model, WEIGHTS).ok_or_else(unknown)?, cache, mirror.or(variable.as_deref()).unwrap_or(MIRROR))
}

fn fetch(published: &Published, cache: &Path, mirror: &str) -> Result<PathBuf> {
    let path = cache.join(published.file);
    if published.verify(&path).is_ok() {
        return Ok(path);
    }
    let full = |error: io::Error| {
        let kind = if error.kind() == io::ErrorKind::StorageFull { Kind::Capacity } else { Kind::Config };
        TrainError::new(kind, format!("writing {}: {error}", path.display()))
    };
    std::fs::create_dir_all(cache).map_err(full)?;
    let mut temporary = tempfile::NamedTempFile::new_in(cache).map_err(full)?;
    let (from, mut body) = open(published, mirror).map_err(|error| error.at_hand(&path))?;
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = body.read(&mut piece);
        let unread = |error: io::Error| Failed { from: from.clone(), what: error.to_string() };
        match read.map_err(unread).map_err(|error| error.at_hand(&path))? {
            0 => break,
            n => temporary.write_all(&piece[..n]).map_err(full)?,
        }
    }
    if let Err(error) = published.verify(temporary.path()) {
        return Err(Failed { from, what: error.problem.to_string() }.at_hand(&path));
    }
    temporary.persist(&path).map_err(|error| full(error.error))?;
    Ok(path)
}

/// A fetch that came to nothing.
struct Failed {
    from: String,
    what: String,
}

impl Failed {
    fn at_hand(self, path: &Path) -> TrainError {
        let Self { from, what } = self;
        TrainError::config(format!(
            "fetching {from}: {what}. Without a network, put the file at {} by hand, or set {MIRROR_VARIABLE} \
             to an address or a folder that has it",
            path.display()
        ))
    }
}

fn open(published: &Published, mirror: &str) -> std::result::Result<(String, Box<dyn Read>), Failed> {
    if !mirror.contains("://") {
        let path = Path::new(mirror).join(published.file);
        let from = path.display().to_string();
        let file =
            File::open(path).map_err(|error| Failed { from: from.clone(), what: error.to_string() })?;
        return Ok((from, Box::new(file)));
    }
    let from = published.url(mirror);
    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_global(Some(Duration::from_secs(3600)))
        .build();
    match ureq::Agent::from(agent).get(&from).call() {
        Ok(response) => Ok((from, Box::new(response.into_body().into_with_config().limit(MAX_LEN).reader()))),
        Err(error) => Err(Failed { from, what: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const ABC: Published = Published { model: "abc", weights: "", file: "abc-ba7816bf.pth" };

    #[test]
    fn a_file_comes_from_a_folder_or_an_address_and_then_from_the_cache() {
        let [mirror, cache] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/models/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let n = stream.read(&mut asked).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
                .unwrap();
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        let path = fetch(&ABC, cache.path(), &address).unwrap();
        assert!(server.join().unwrap().starts_with("GET /models/abc-ba7816bf.pth HTTP/1.1"));
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        // The mirror is gone, and not needed.
        assert_eq!(fetch(&ABC, cache.path(), &address).unwrap(), path);
        // What was damaged is fetched again.
        std::fs::write(&path, "abd").unwrap();
        std::fs::write(mirror.path().join(ABC.file), "abc").unwrap();
        fetch(&ABC, cache.path(), &mirror.path().display().to_string()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
    }

    #[test]
    fn without_a_network_the_error_says_what_to_do() {
        let [mirror, cache] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let text = fetch(&ABC, cache.path(), "http://127.0.0.1:1/models").unwrap_err().to_string();
        assert!(text.contains("fetching http://127.0.0.1:1/models/abc-ba7816bf.pth: "), "{text}");
        let by_hand = format!("put the file at {} by hand", cache.path().join(ABC.file).display());
        assert!(text.contains(&by_hand), "{text}");
        // A page that says something else is not taken for the file, and leaves nothing behind.
        std::fs::write(mirror.path().join(ABC.file), "<html>").unwrap();
        let text = fetch(&ABC, cache.path(), &mirror.path().display().to_string()).unwrap_err().to_string();
        assert!(text.contains("which does not begin with ba7816bf"), "{text}");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    }
}
