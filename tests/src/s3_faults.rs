//! Stands between a client and a store: sees every request, and answers some as a store does that is in trouble.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// A request as it came, without its body.
#[derive(Clone, Debug)]
pub struct Seen {
    pub verb: String,
    /// With the query.
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, a code of S3 and a header, and nothing is done.
    Answer(u16, &'static str, &'static str),
    /// The true answer, up to this many bytes of its body.
    Cut(usize),
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

/// One request a connection: there is nothing to keep apart.
fn serve(
    client: TcpStream,
    upstream: u16,
    seen: &Mutex<Vec<Seen>>,
    plans: &Mutex<Vec<Plan>>,
    passed: &AtomicU64,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut client = client;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut first = lines[0].split(' ').map(str::to_owned);
    let (verb, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers = lines[1..].iter().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    let request = Seen { verb, path, headers };
    if request.header("expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    passed.fetch_add(length as u64, Ordering::Relaxed);
    locked(seen).push(request.clone());
    let planned = {
        let mut plans = locked(plans);
        let plan = plans.iter_mut().find(|plan| plan.left > 0 && (plan.fits)(&request));
        plan.map(|plan| {
            plan.left -= 1;
            plan.fault.clone()
        })
    };
    let is_lost = matches!(planned, Some(Fault::Lost));
    let limit = match planned {
        Some(Fault::HangUp) => return Ok(()),
        Some(Fault::Silence) => loop {
            std::thread::park();
        },
        Some(Fault::Answer(status, code, header)) => {
            let xml = format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as planned</Message></Error>"
            );
            let xml = if request.verb == "HEAD" || code.is_empty() { String::new() } else { xml };
            let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
            return write!(
                client,
                "HTTP/1.1 {status} Planned\r\n{header}Content-Type: application/xml\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{xml}",
                xml.len()
            );
        }
        Some(Fault::Cut(bytes)) => Some(bytes),
        Some(Fault::Lost) | None => None,
    };
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    let of_hop = |line: &&String| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !matches!(name.as_str(), "connection" | "expect")
    };
    let head: Vec<&str> = lines.iter().filter(of_hop).map(String::as_str).collect();
    server.write_all(format!("{}\r\nConnection: close\r\n\r\n", head.join("\r\n")).as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    if is_lost {
        return Ok(());
    }
    let end_of_head =
        answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let end = limit.map_or(answer.len(), |bytes| answer.len().min(end_of_head + bytes));
    passed.fetch_add(end as u64, Ordering::Relaxed);
    client.write_all(&answer[..end])
}
