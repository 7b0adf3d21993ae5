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
    /// Of this process: cookies hold until the coordinator is started again.
    key: [u8; 32],
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
        Ok(Self { digest: digest(text), key: rand::random() })
    }

    /// Takes the same time whatever is said.
    pub(super) fn is(&self, said: &str) -> bool {
        self.digest.as_bytes().ct_eq(digest(said.trim()).as_bytes()).into()
    }

    /// What a cookie holds: until when, sealed by what only this process knows. It is not the token.
    fn session(&self, until: i64) -> String {
        let sealed = [&self.key[..], self.digest.as_bytes(), &until.to_be_bytes()].concat();
        format!("{until}-{}", Digest::of(&sealed))
    }

    /// Browsers forget a cookie in time; whoever has copied one does not.
    fn is_session(&self, said: &str, now: i64) -> bool {
        let until = said.split_once('-').and_then(|(until, _)| until.parse::<i64>().ok());
        until.is_some_and(|until| {
            until > now && bool::from(self.session(until).as_bytes().ct_eq(said.as_bytes()))
        })
    }

    /// How the request says that it may come in.
    pub(super) fn shown_by(&self, headers: &HeaderMap) -> Option<Shown> {
        let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if let Some(said) = said.and_then(|said| said.strip_prefix("Bearer ")) {
            return self.is(said).then_some(Shown::Bearer);
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let now = now();
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == COOKIE && self.is_session(value, now)).then_some(Shown::Cookie)
    }

    /// For whoever has typed the token. Scripts don't see it, and no other site can send it along.
    pub(super) fn cookie(&self, is_secure: bool) -> HeaderValue {
        set_cookie(&self.session(now() + i64::from(COOKIE_SECONDS)), COOKIE_SECONDS, is_secure)
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

/// In seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
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
    fn a_cookie_holds_half_a_day_whoever_keeps_it_for_longer() {
        let token = Token::new(TEXT).unwrap();
        let said = token.session(1000);
        assert!(token.is_session(&said, 999) && !token.is_session(&said, 1000));
        let later = said.replacen("1000", "2000", 1);
        assert!(!token.is_session(&later, 999), "nobody but us says until when");
        for bad in ["", "-", "1000", "1000-", &said[1..]] {
            assert!(!token.is_session(bad, 0), "{bad}");
        }
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
