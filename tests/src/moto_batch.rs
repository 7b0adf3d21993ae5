//! What a test needs of an emulated account before jobs can be submitted: an environment, queues, a job definition.

use std::{io::Write as _, net::TcpStream};

use serde_json::{Value, json};

use crate::{moto::Moto, relay};

pub const REGION: &str = "eu-central-1";

impl Moto {
    /// Jobs are over as soon as they are submitted, and well.
    pub fn without_containers(&self) {
        let config = json!({ "batch": { "use_docker": false } }).to_string();
        self.post("/moto-api/config", "batch", "application/json", &config);
    }

    /// A call past our own client.
    pub fn batch(&self, action: &str, body: &Value) -> Value {
        let said = self.post(&format!("/v1/{action}"), "batch", "application/json", &body.to_string());
        serde_json::from_str(&said).unwrap_or_default()
    }

    /// A compute environment, and queues that it serves.
    pub fn queues(&self, environment: &str, queues: &[&str]) {
        let role = "Action=CreateRole&Version=2010-05-08&RoleName=batch&AssumeRolePolicyDocument=%7B%7D";
        self.post_at_all("/", "iam", "application/x-www-form-urlencoded", role);
        let role = "arn:aws:iam::123456789012:role/batch";
        self.batch(
            "createcomputeenvironment",
            &json!({
                "computeEnvironmentName": environment, "type": "UNMANAGED", "state": "ENABLED", "serviceRole": role,
            }),
        );
        for queue in queues {
            let order = json!([{ "order": 1, "computeEnvironment": environment }]);
            self.batch(
                "createjobqueue",
                &json!({
                    "jobQueueName": queue, "state": "ENABLED", "priority": 1, "computeEnvironmentOrder": order,
                }),
            );
        }
    }

    fn post(&self, path: &str, service: &str, kind: &str, body: &str) -> String {
        let (status, said) = self.post_at_all(path, service, kind, body);
        assert!(status < 300, "{path}: {status} {said}");
        said
    }

    /// Refused or not.
    fn post_at_all(&self, path: &str, service: &str, kind: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).expect("moto listens");
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: {}\r\nContent-Type: {kind}\r\n\
             Connection: close\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
            self.port(),
            body.len()
        )
        .expect("asking moto");
        let answer = relay::read_answer(&mut stream).expect("an answer");
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }
}
