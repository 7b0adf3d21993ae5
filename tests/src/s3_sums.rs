//! Stands before a store that tells no checksums of what it copies into an upload, and tells them, as AWS S3 does of
//! an upload that was begun with CRC32. They are made up: nobody who copies inside a store can know better. As with AWS,
//! an upload is then completed only by whoever names the checksum of every part. The store itself copies and joins.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Result, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    relay::read_answer,
    s3_request::{Request, answer, error, tagged},
};

/// Parts by their number, and the checksum of each.
pub type Parts = BTreeMap<u32, String>;

#[derive(Default)]
struct State {
    /// Uploads that were begun with checksums.
    summed: BTreeSet<String>,
    /// By upload: what was told of its parts.
    told: BTreeMap<String, Parts>,
    /// What was named as each upload was completed.
    named: Vec<Parts>,
}

pub struct Sums {
    port: u16,
    state: Arc<Mutex<State>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Four bytes in base64, as a CRC32 is.
pub fn made_up(part: u32) -> String {
    format!("{part:05}A==")
}

impl Sums {
    /// In front of a store on this machine.
    pub fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its port").port();
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                // A client that goes away in the middle is nobody's fault.
                std::thread::spawn(move || drop(serve(&client, upstream, &state)));
            }
        });
        Self { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The checksums that were named as uploads were completed, upload by upload.
    pub fn named(&self) -> Vec<Parts> {
        locked(&self.state).named.clone()
    }
}

fn serve(client: &TcpStream, upstream: u16, state: &Mutex<State>) -> Result<()> {
    let Some(mut request) = Request::read(client)? else { return Ok(()) };
    let upload = request.seen.query("uploadId").map(str::to_owned);
    let part: Option<u32> = request.seen.query("partNumber").and_then(|number| number.parse().ok());
    let verb = request.seen.verb.clone();
    match (verb.as_str(), upload, part) {
        ("POST", None, None) if request.seen.query("uploads").is_some() => {
            begin(client, upstream, state, request)
        }
        ("PUT", Some(upload), Some(part)) if request.seen.header("x-amz-copy-source").is_some() => {
            copy(client, upstream, state, &request, upload, part)
        }
        ("PUT", Some(upload), Some(part)) => {
            if let Some(sum) = request.seen.header("x-amz-checksum-crc32") {
                locked(state).told.entry(upload).or_default().insert(part, sum.to_owned());
            }
            pass(client, upstream, &request)
        }
        ("POST", Some(upload), None) => {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let named = named(&body);
            let (is_summed, is_right) = {
                let mut state = locked(state);
                state.named.push(named.clone());
                (state.summed.contains(&upload), state.told.get(&upload) == Some(&named))
            };
            // What is wrong with others is the store's to say.
            if !is_summed {
                return pass(client, upstream, &request);
            }
            if !is_right {
                let refusal = error("InvalidPart", "a part has another checksum, or none");
                return answer(client, "400 Bad Request", "", &refusal);
            }
            request.body = without_sums(&body).into_bytes();
            pass(client, upstream, &request)
        }
        _ => pass(client, upstream, &request),
    }
}

/// What the store says, as it says it.
fn pass(mut client: &TcpStream, upstream: u16, request: &Request) -> Result<()> {
    let mut said = Vec::new();
    request.hand_on(upstream)?.read_to_end(&mut said)?;
    client.write_all(&said)
}

/// The store is told nothing of checksums: it would ask for those of copies, and knows none.
fn begin(client: &TcpStream, upstream: u16, state: &Mutex<State>, mut request: Request) -> Result<()> {
    let is_summed = request.seen.header("x-amz-checksum-algorithm") == Some("CRC32");
    request.forget("x-amz-checksum-algorithm");
    let mut said = Vec::new();
    request.hand_on(upstream)?.read_to_end(&mut said)?;
    // Before the client hears of it.
    if let Some(upload) = tagged(&String::from_utf8_lossy(&said), "UploadId").filter(|_| is_summed) {
        locked(state).summed.insert(upload.to_owned());
    }
    let mut client = client;
    client.write_all(&said)
}

fn copy(
    client: &TcpStream,
    upstream: u16,
    state: &Mutex<State>,
    request: &Request,
    upload: String,
    part: u32,
) -> Result<()> {
    let Some(said) = read_answer(&mut request.hand_on(upstream)?) else { return Ok(()) };
    let mut body = String::from_utf8_lossy(&said.body).into_owned();
    if said.status == 200 && locked(state).summed.contains(&upload) {
        let sum = made_up(part);
        let end = "</CopyPartResult>";
        body = body.replace(end, &format!("<ChecksumCRC32>{sum}</ChecksumCRC32>{end}"));
        locked(state).told.entry(upload).or_default().insert(part, sum);
    }
    answer(client, &format!("{} said", said.status), "", &body)
}

fn named(complete: &str) -> Parts {
    let parts = complete.split("<Part>").skip(1);
    let named = parts.filter_map(|part| {
        let number = tagged(part, "PartNumber")?.parse::<u32>().ok()?;
        Some((number, tagged(part, "ChecksumCRC32")?.to_owned()))
    });
    named.collect()
}

fn without_sums(complete: &str) -> String {
    let (open, close) = ("<ChecksumCRC32>", "</ChecksumCRC32>");
    let mut pieces = complete.split(open);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out += piece.split_once(close).map_or(piece, |(_, rest)| rest);
    }
    out
}
