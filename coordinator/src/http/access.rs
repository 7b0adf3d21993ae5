//! Who may come in, where a token is asked for: whoever sends it with each request, or has typed it into the form and
//! was given a cookie.

use subtle::ConstantTimeEq as _;
use swath_proto::ids::Digest;

use axum::http::{HeaderMap, HeaderValue, header};

const SHORTEST: usize = 16;
const LONGEST: usize = 512;
const COOKIE: &str = "swath_session";
/// Half a day: who looks every morning types it every morning.
const COOKIE_SECONDS: u32 = 12 * 3600;

/// What opens the page elsewhere than on this machine. Its text is kept nowhere, and can't be printed.
pub struct Token {
    digest: String,
    session: String,
}

impl Token {
    /// The text of a file or a variable; white space around it is none of it.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let is_fit = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_fit || !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(format!(
                "must be {SHORTEST} to {LONGEST} letters, digits and signs of ASCII without spaces: \
                 `openssl rand -hex 32` prints one"
            ));
        }
        let digest = digest(text);
        // Of this process: a cookie holds until the coordinator is started again, and is not the token.
        let key = rand::random::<[u8; 32]>();
        let session = Digest::of(&[&key[..], digest.as_bytes()].concat()).to_string();
        Ok(Self { digest, session })
    }

    /// Takes the same time whatever is said.
    pub(super) fn is(&self, said: &str) -> bool {
        self.digest.as_bytes().ct_eq(digest(said.trim()).as_bytes()).into()
    }

    fn is_session(&self, said: &str) -> bool {
        self.session.as_bytes().ct_eq(said.as_bytes()).into()
    }

    /// How the request says that it may come in.
    pub(super) fn shown_by(&self, headers: &HeaderMap) -> Option<Shown> {
        let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(said) = said.and_then(|said| said.strip_prefix("Bearer ")) {
            return self.is(said).then_some(Shown::Bearer);
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == COOKIE && self.is_session(value)).then_some(Shown::Cookie)
    }

    /// For whoever has typed the token. Scripts don't see it, and no other site can send it along.
    pub(super) fn cookie(&self, is_secure: bool) -> HeaderValue {
        set_cookie(&self.session, COOKIE_SECONDS, is_secure)
    }
}

/// Takes the cookie away.
pub(super) fn no_cookie() -> HeaderValue {
    set_cookie("", 0, false)
}

fn set_cookie(value: &str, seconds: u32, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).expect("hex digits and plain words")
}

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// In a header that no page can make a browser send elsewhere.
    Bearer,
    Cookie,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789abcdef";

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_token_opens_by_header_and_by_the_cookie_that_was_given_for_it() {
        let token = Token::new(&format!(" {TEXT}\n")).unwrap();
        let bearer = |said: &str| token.shown_by(&headers(header::AUTHORIZATION, said));
        assert_eq!(bearer(&format!("Bearer {TEXT}")), Some(Shown::Bearer));
        for wrong in ["Bearer 0123456789abcdeg", "Bearer ", "Basic 0123456789abcdef", TEXT] {
            assert_eq!(bearer(wrong), None, "{wrong}");
        }
        let given = token.cookie(true).to_str().unwrap().to_owned();
        assert!(
            given.contains("HttpOnly; SameSite=Strict")
                && given.ends_with("; Secure")
                && !given.contains(TEXT)
        );
        let pair = given.split(';').next().unwrap();
        let cookie = |said: &str| token.shown_by(&headers(header::COOKIE, said));
        assert_eq!(cookie(&format!("other=1; {pair}")), Some(Shown::Cookie));
        assert_eq!(cookie(&format!("{COOKIE}={TEXT}")), None, "the token itself is no cookie");
        assert_eq!(token.shown_by(&HeaderMap::new()), None);
    }

    #[test]
    fn the_cookie_of_one_process_does_not_open_another() {
        let [one, other] = [TEXT; 2].map(|text| Token::new(text).unwrap());
        assert_ne!(one.cookie(false), other.cookie(false));
    }

    #[test]
    fn a_token_that_could_be_guessed_or_not_be_sent_is_refused() {
        for bad in [
            "",
            "short",
            "fifteen-letters",
            "white space inside it",
            "ümlaute-sind-kein-ascii",
            &"x".repeat(513),
        ] {
            assert!(Token::new(bad).is_err(), "{bad}");
        }
    }
}
