//! What a broker says no with, by its own code (AMQP 0-9-1, chapter 1.2), and what a person can do about it.

use crate::{Kind, tls};

const ACCESS_REFUSED: u16 = 403;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

pub(super) fn kind(error: &lapin::Error) -> Kind {
    match code(error) {
        Some(ACCESS_REFUSED | NOT_ALLOWED) => Kind::Refused,
        Some(PRECONDITION_FAILED) => Kind::Config,
        Some(_) => Kind::Transient,
        None if tls::advice(error).is_some() => Kind::Refused,
        None => Kind::Transient,
    }
}

/// `is_login`: nothing has worked on this connection yet.
pub(super) fn advice(error: &lapin::Error, is_login: bool) -> Option<&'static str> {
    match code(error) {
        Some(ACCESS_REFUSED) if is_login => Some(
            "wrong user or password (the user guest may come from the broker's own machine only); see rabbitmqctl \
             list_users, authenticate_user",
        ),
        Some(ACCESS_REFUSED) => Some(
            "the user needs the rights configure, write and read on the queues of this root, and write and read on \
             amq.default: see rabbitmqctl set_permissions and docs/servers.md",
        ),
        Some(NOT_ALLOWED) => Some(
            "there is no such virtual host, or it is shut for this user: see rabbitmqctl list_vhosts, set_permissions; \
             the URL of the default one ends with /%2f",
        ),
        Some(PRECONDITION_FAILED) => Some(
            "a queue of that name has other arguments than ours: delete it, or give the URL another ?prefix=NAME",
        ),
        Some(_) => None,
        None if is_login => Some(tls::advice(error).unwrap_or(
            "is the broker up, are host and port right (5672; 5671 for TLS), and does no firewall stand between?",
        )),
        None => None,
    }
}

fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(refusal) => Some(refusal.get_id()),
        _ => None,
    }
}
