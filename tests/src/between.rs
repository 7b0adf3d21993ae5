//! Stands between a client and a server that speaks JSON by paths, as Batch does: writes down the calls, and answers
//! some in the server's place, by the shapes that AWS documents and no emulator shows.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::relay::{ask, read_message};

/// What becomes of a call.
pub enum Say {
    /// It goes to the server, and the server's answer comes back.
    Pass,
    /// The server is not asked.
    Answer(u16, Value),
    /// The server does it, and nothing comes back.
    Lost,
    /// Nothing comes back, and the server never hears of it.
    Reset,
}

impl Say {
    /// As AWS refuses: a kind of exception, and words.
    pub fn refusal(status: u16, kind: &str, message: &str) -> Self {
        Self::Answer(status, json!({ "__type": kind, "message": message }))
    }
}

type Decide = Box<dyn FnMut(&str, &Value) -> Say + Send>;

pub struct Between {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    calls: Vec<(String, Value)>,
    decide: Decide,
}

impl Between {
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State { calls: Vec::new(), decide: Box::new(|_, _| Say::Pass) }));
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

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on. Calls are named by the ends of their paths: `submitjob`.
    pub fn decide(&self, decide: impl FnMut(&str, &Value) -> Say + Send + 'static) {
        lock(&self.state).decide = Box::new(decide);
    }

    /// What was asked by calls of this name, in their order.
    pub fn asked(&self, name: &str) -> Vec<Value> {
        let state = lock(&self.state);
        state.calls.iter().filter(|(of, _)| of == name).map(|(_, asked)| asked.clone()).collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut client: TcpStream, server: u16, state: &Mutex<State>) -> Option<()> {
    let (head, body) = read_message(&mut client)?;
    let name = head.first()?.split(' ').nth(1)?.rsplit('/').next()?.to_owned();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = {
        let mut state = lock(state);
        let said = (state.decide)(&name, &asked);
        state.calls.push((name, asked.clone()));
        said
    };
    let (status, body) = match said {
        Say::Pass => {
            let answer = ask(server, &head, &asked)?;
            (answer.status, answer.body)
        }
        Say::Answer(status, body) => (status, body.to_string().into_bytes()),
        Say::Lost => {
            ask(server, &head, &asked)?;
            return None;
        }
        Say::Reset => return None,
    };
    let head = format!(
        "HTTP/1.1 {status} said\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).ok()?;
    client.write_all(&body).ok()
}
