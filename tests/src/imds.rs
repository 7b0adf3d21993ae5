//! A stand-in for the instance metadata of EC2, which there is nowhere else: the second version of its
//! protocol, a token first, and the two notices.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

const TOKEN: &str = "a-token-of-the-stand-in";

const INSTANCE: [(&str, &str); 3] = [
    ("/latest/meta-data/instance-type", "g5.xlarge"),
    ("/latest/meta-data/placement/availability-zone", "eu-central-1a"),
    ("/latest/meta-data/instance-life-cycle", "spot"),
];

#[derive(Default)]
struct State {
    interruption: Option<String>,
    rebalance: Option<String>,
    asked: u32,
    /// What a client did that the real one refuses.
    wrong: Vec<String>,
}

#[derive(Clone)]
pub struct Imds {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Imds {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let this = Self { state: Arc::default(), port };
        let server = this.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        this
    }

    /// For the environment of a worker.
    pub fn environment(&self) -> (&'static str, String) {
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://127.0.0.1:{}", self.port))
    }

    /// The instance is taken away at `time`, in RFC 3339.
    pub fn interrupt(&self, time: &str) {
        let json = format!(r#"{{"action": "terminate", "time": "{time}"}}"#);
        self.state().interruption = Some(json);
    }

    pub fn recommend_rebalance(&self, time: &str) {
        self.state().rebalance = Some(format!(r#"{{"noticeTime": "{time}"}}"#));
    }

    /// How often somebody has asked for a notice.
    pub fn asked(&self) -> u32 {
        let state = self.state();
        assert!(state.wrong.is_empty(), "the real one would refuse: {:?}", state.wrong);
        state.asked
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection, of many requests.
    fn answer(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut writer = stream;
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let (status, headers, body) = self.of_request(&head.to_lowercase());
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len());
            if writer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn of_request(&self, head: &str) -> (&'static str, String, String) {
        let mut state = self.state();
        let request = head.lines().next().unwrap_or_default().to_owned();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if request.starts_with("put /latest/api/token ") {
            let Some(ttl) = header("x-aws-ec2-metadata-token-ttl-seconds") else {
                state.wrong.push(format!("no time to live: {request}"));
                return ("400 Bad Request", String::new(), String::new());
            };
            return ("200 OK", format!("x-aws-ec2-metadata-token-ttl-seconds: {ttl}\r\n"), TOKEN.into());
        }
        if header("x-aws-ec2-metadata-token") != Some(TOKEN) {
            state.wrong.push(format!("no token: {request}"));
            return ("401 Unauthorized", String::new(), String::new());
        }
        state.asked += 1;
        let found = if request.starts_with("get /latest/meta-data/spot/instance-action ") {
            state.interruption.clone()
        } else if request.starts_with("get /latest/meta-data/events/recommendations/rebalance ") {
            state.rebalance.clone()
        } else if let Some((_, value)) =
            INSTANCE.iter().find(|(path, _)| request.starts_with(&format!("get {path} ")))
        {
            return ("200 OK", "content-type: text/plain\r\n".into(), (*value).to_owned());
        } else {
            state.wrong.push(format!("what is asked for: {request}"));
            None
        };
        match found {
            Some(json) => ("200 OK", "content-type: application/json\r\n".into(), json),
            None => ("404 Not Found", String::new(), String::new()),
        }
    }
}
