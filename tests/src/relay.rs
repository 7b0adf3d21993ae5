//! Stands between a client and a server that speaks JSON as SQS does: counts the calls, and spoils some. What
//! it does not spoil it hands on, and the answer is the real server's.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};

/// What becomes of a call.
pub enum Fate {
    Pass,
    /// The server is not asked.
    Refused(&'static str),
    /// These entries of a batch do not arrive, and are no fault of the sender's.
    Lost(Vec<usize>, &'static str),
}

#[derive(Clone, Debug)]
pub struct Call {
    pub action: String,
    pub asked: Value,
    pub began: Instant,
    /// Not yet: it is under way.
    pub ended: Option<(Instant, Value)>,
}

type Decide = Box<dyn FnMut(&str, &Value) -> Fate + Send>;

pub struct Relay {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    calls: Vec<Call>,
    decide: Decide,
    hurries: bool,
}

impl Relay {
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let decide: Decide = Box::new(|_, _| Fate::Pass);
        let state = Arc::new(Mutex::new(State { calls: Vec::new(), decide, hurries: false }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = shared.clone();
                // A client or server that goes away in the middle is nobody's mistake here.
                std::thread::spawn(move || serve(client, server, &shared));
            }
        });
        Self { port, state }
    }

    /// All queues begin with `prefix`.
    pub fn sqs_url(&self, prefix: &str) -> String {
        format!("sqs://{}/{prefix}?endpoint=http://127.0.0.1:{}", crate::s3::REGION, self.port)
    }

    /// From now on.
    pub fn decide(&self, decide: impl FnMut(&str, &Value) -> Fate + Send + 'static) {
        lock(&self.state).decide = Box::new(decide);
    }

    /// Polls are handed on as such of one second, so that a test need not wait for the full ones.
    pub fn hurry(&self) {
        lock(&self.state).hurries = true;
    }

    /// In the order in which they began.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    pub fn calls_of(&self, action: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.action == action).collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut client: TcpStream, server: u16, state: &Mutex<State>) -> Option<()> {
    let (head, body) = read_message(&mut client)?;
    let action =
        head.iter().find_map(|line| header(line, "x-amz-target")?.split('.').nth(1).map(str::to_owned));
    let action = action.unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (number, fate, hurries) = {
        let mut state = lock(state);
        let fate = (state.decide)(&action, &asked);
        let call = Call { action: action.clone(), asked: asked.clone(), began: Instant::now(), ended: None };
        state.calls.push(call);
        (state.calls.len() - 1, fate, state.hurries)
    };
    let mut passed = asked;
    if hurries && passed["WaitTimeSeconds"].is_number() {
        passed["WaitTimeSeconds"] = json!(1);
    }
    let answer = match fate {
        Fate::Pass => ask(server, &head, &passed)?,
        Fate::Refused(code) => Answer {
            status: if code.starts_with("AccessDenied") { 403 } else { 400 },
            head: Vec::new(),
            body: json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": "said by the relay" })
                .to_string()
                .into_bytes(),
        },
        Fate::Lost(entries, code) => {
            let mut at = 0;
            let mut lost = Vec::new();
            let all = passed["Entries"].as_array_mut().expect("a batch");
            all.retain(|entry| {
                at += 1;
                let is_lost = entries.contains(&(at - 1));
                if is_lost {
                    lost.push(json!({ "Id": entry["Id"], "SenderFault": false, "Code": code }));
                }
                !is_lost
            });
            let mut answer = match all.is_empty() {
                true => Answer { status: 200, head: Vec::new(), body: b"{}".to_vec() },
                false => ask(server, &head, &passed)?,
            };
            let mut said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            said["Failed"] = Value::Array(lost);
            answer.body = said.to_string().into_bytes();
            answer
        }
    };
    let said = serde_json::from_slice(&answer.body).unwrap_or_default();
    lock(state).calls[number].ended = Some((Instant::now(), said));
    let mut text = format!(
        "HTTP/1.1 {} said\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\nConnection: close\r\n",
        answer.status,
        answer.body.len()
    );
    for line in answer.head.iter().filter(|line| header(line, "x-amzn-query-error").is_some()) {
        text += &format!("{line}\r\n");
    }
    text += "\r\n";
    client.write_all(text.as_bytes()).ok()?;
    client.write_all(&answer.body).ok()
}

pub(crate) fn ask(server: u16, head: &[String], body: &Value) -> Option<Answer> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", server)).ok()?;
    let ours = |line: &&String| header(line, "content-length").or(header(line, "connection")).is_none();
    let mut text: String = head.iter().filter(ours).map(|line| format!("{line}\r\n")).collect();
    text += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).ok()?;
    read_answer(&mut stream)
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    let (head, body) = read_message(stream)?;
    let status = head.first()?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body })
}

/// The lines of its head, and its body.
pub(crate) fn read_message(stream: &mut TcpStream) -> Option<(Vec<String>, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let line = read_line(&mut reader)?;
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let value = |name: &str| head.iter().find_map(|line| header(line, name));
    let mut body = Vec::new();
    if value("transfer-encoding").is_some_and(|how| how.contains("chunked")) {
        loop {
            let length = usize::from_str_radix(read_line(&mut reader)?.trim(), 16).ok()?;
            let mut chunk = vec![0; length];
            reader.read_exact(&mut chunk).ok()?;
            body.extend(chunk);
            read_line(&mut reader)?;
            if length == 0 {
                break;
            }
        }
    } else {
        body.resize(value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0), 0);
        reader.read_exact(&mut body).ok()?;
    }
    Some((head, body))
}

fn read_line(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
}

fn header<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.split_once(':')?;
    key.eq_ignore_ascii_case(name).then(|| value.trim())
}
