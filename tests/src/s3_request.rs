//! A request to a store as a relay takes it in and hands it on. One a connection: there is nothing to keep apart.

use std::{
    io::{BufRead as _, BufReader, Read as _, Result, Write as _},
    net::TcpStream,
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

    /// What the query says; empty where it says only the name.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.path.split_once('?')?;
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }
}

pub(crate) struct Request {
    pub(crate) seen: Seen,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// None: whoever has connected asks for nothing.
    pub(crate) fn read(client: &TcpStream) -> Result<Option<Self>> {
        let mut reader = BufReader::new(client);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let Some((first, headers)) = lines.split_first() else { return Ok(None) };
        let mut first = first.split(' ').map(str::to_owned);
        let (verb, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let headers = headers.iter().filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
        let seen = Seen { verb, path, headers };
        if seen.header("expect").is_some() {
            let mut client = client;
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Some(Self { seen, body }))
    }

    pub(crate) fn forget(&mut self, header: &str) {
        self.seen.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(header));
    }

    /// Asks the store; the answer is there to be read.
    pub(crate) fn hand_on(&self, upstream: u16) -> Result<TcpStream> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.seen.verb, self.seen.path);
        for (key, value) in &self.seen.headers {
            // The first two are of this connection, and a body may have been changed.
            match key.to_ascii_lowercase().as_str() {
                "connection" | "expect" => {}
                "content-length" => head += &format!("{key}: {}\r\n", self.body.len()),
                _ => head += &format!("{key}: {value}\r\n"),
            }
        }
        let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
        server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
        server.write_all(&self.body)?;
        Ok(server)
    }
}

/// An answer of XML, and the end of the connection.
pub(crate) fn answer(mut client: &TcpStream, status: &str, headers: &str, body: &str) -> Result<()> {
    write!(
        client,
        "HTTP/1.1 {status}\r\n{headers}Content-Type: application/xml\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What a store says of what went wrong.
pub(crate) fn error(code: &str, message: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>")
}

/// The text between the first such tags.
pub(crate) fn tagged<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    rest.split_once(&format!("</{tag}>")).map(|(text, _)| text)
}
