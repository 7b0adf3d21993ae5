//! Stands between a client and a store: sees every request, and answers some as a store does that is in trouble.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub use crate::s3_request::Seen;
use crate::s3_request::{Request, answer, error};

#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, a code of S3 and a header, and nothing is done.
    Answer(u16, &'static str, &'static str),
    /// The true answer, up to this many bytes of its body.
    Cut(usize),
    /// The same, and nothing tells how many bytes there should be.
    CutUnmeasured(usize),
    /// The store does what it was asked to, and nobody hears of it.
    Lost,
    /// The connection ends without an answer.
    HangUp,
    /// No answer comes while the proxy lives.
    Silence,
}

type Fits = Box<dyn Fn(&Seen) -> bool + Send>;

struct Plan {
    left: usize,
    fits: Fits,
    fault: Fault,
}

pub struct Faults {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    plans: Arc<Mutex<Vec<Plan>>>,
    passed: Arc<AtomicU64>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// In front of a store on this machine.
    pub fn before(upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its port").port();
        let (seen, plans) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<Mutex<Vec<Plan>>>::default());
        let passed = Arc::<AtomicU64>::default();
        let (all_seen, all_plans, all_passed) = (seen.clone(), plans.clone(), passed.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, plans, passed) = (all_seen.clone(), all_plans.clone(), all_passed.clone());
                // A client that goes away in the middle is nobody's fault.
                std::thread::spawn(move || drop(serve(client, upstream, &seen, &plans, &passed)));
            }
        });
        Self { port, seen, plans, passed }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next `n` requests that fit get into this trouble.
    pub fn next(&self, n: usize, fault: Fault, fits: impl Fn(&Seen) -> bool + Send + 'static) {
        locked(&self.plans).push(Plan { left: n, fits: Box::new(fits), fault });
    }

    /// How much of what was planned has not come to pass.
    pub fn left(&self) -> usize {
        locked(&self.plans).iter().map(|plan| plan.left).sum()
    }

    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.seen).clone()
    }

    /// Bytes that went up as bodies, or came back as answers.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Nothing more is planned, and nothing was seen.
    pub fn begin_anew(&self) {
        locked(&self.plans).clear();
        locked(&self.seen).clear();
        self.passed.store(0, Ordering::Relaxed);
    }
}

fn serve(
    mut client: TcpStream,
    upstream: u16,
    seen: &Mutex<Vec<Seen>>,
    plans: &Mutex<Vec<Plan>>,
    passed: &AtomicU64,
) -> std::io::Result<()> {
    let Some(request) = Request::read(&client)? else { return Ok(()) };
    passed.fetch_add(request.body.len() as u64, Ordering::Relaxed);
    locked(seen).push(request.seen.clone());
    let planned = {
        let mut plans = locked(plans);
        let plan = plans.iter_mut().find(|plan| plan.left > 0 && (plan.fits)(&request.seen));
        plan.map(|plan| {
            plan.left -= 1;
            plan.fault.clone()
        })
    };
    let is_lost = matches!(planned, Some(Fault::Lost));
    let is_unmeasured = matches!(planned, Some(Fault::CutUnmeasured(_)));
    let limit = match planned {
        Some(Fault::HangUp) => return Ok(()),
        Some(Fault::Silence) => loop {
            std::thread::park();
        },
        Some(Fault::Answer(status, code, header)) => {
            let has_body = request.seen.verb != "HEAD" && !code.is_empty();
            let xml = if has_body { error(code, "as planned") } else { String::new() };
            let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
            return answer(&client, &format!("{status} Planned"), &header, &xml);
        }
        Some(Fault::Cut(bytes) | Fault::CutUnmeasured(bytes)) => Some(bytes),
        Some(Fault::Lost) | None => None,
    };
    let mut said = Vec::new();
    request.hand_on(upstream)?.read_to_end(&mut said)?;
    if is_lost {
        return Ok(());
    }
    let end_of_head = said.windows(4).position(|four| four == b"\r\n\r\n").map_or(said.len(), |at| at + 4);
    let end = limit.map_or(said.len(), |bytes| said.len().min(end_of_head.saturating_add(bytes)));
    passed.fetch_add(end as u64, Ordering::Relaxed);
    if is_unmeasured {
        // The body ends where the connection does.
        client.write_all(&without_length(&said[..end_of_head]))?;
        return client.write_all(&said[end_of_head..end]);
    }
    client.write_all(&said[..end])
}

fn without_length(head: &[u8]) -> Vec<u8> {
    let head = String::from_utf8_lossy(head);
    let is_length = |line: &&str| line.to_ascii_lowercase().starts_with("content-length:");
    head.split_inclusive("\r\n").filter(|line| !is_length(line)).collect::<String>().into_bytes()
}
