//! Names that must not be mixed up: each a type of its own.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A name that is safe as a part of a key, of a file name and of a metric label.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{what} '{got}' must be 1 to 100 characters of a-z, A-Z, 0-9, '.', '_' and '-', and begin with a letter or digit"
)]
pub struct BadName {
    what: &'static str,
    got: String,
}

fn check_name(what: &'static str, s: &str) -> Result<(), BadName> {
    let ok = !s.is_empty()
        && s.len() <= 100
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && s.as_bytes()[0].is_ascii_alphanumeric();
    if ok { Ok(()) } else { Err(BadName { what, got: s.chars().take(120).collect() }) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(s: &str) -> Result<Self, BadName> {
                check_name($what, s)?;
                Ok(Self(s.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

name!(
    /// One execution of a pipeline file under one root.
    RunId, "run"
);
name!(
    /// One image, or several files that mosaic to one.
    SceneId, "scene"
);
name!(
    /// One worker process; new at every start.
    WorkerId, "worker"
);

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The digest of some bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self::from_sha256(Sha256::new_with_prefix(bytes))
            }

            pub fn from_sha256(hasher: Sha256) -> Self {
                let full = hasher.finalize();
                let mut out = [0; $len];
                out.copy_from_slice(&full[..$len]);
                Self(out)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = hex::FromHexError;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                let mut out = [0; $len];
                hex::decode_to_slice(s, &mut out)?;
                Ok(Self(out))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

hex_bytes!(
    /// SHA-256 of a file or document.
    Digest, 32
);
hex_bytes!(
    /// Hash of all that decides an item's output (half a SHA-256).
    ItemId, 16
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_climb_out_of_a_key() {
        for bad in ["", "..", "../x", "a/b", ".hidden", "-flag", "a b", "ä", &"x".repeat(101)] {
            assert!(bad.parse::<SceneId>().is_err(), "{bad}");
        }
        assert_eq!("tile_04-b.2".parse::<SceneId>().unwrap().as_str(), "tile_04-b.2");
    }

    #[test]
    fn digests_read_back_what_they_print() {
        let id = ItemId::of(b"abc");
        assert_eq!(id.to_string(), "ba7816bf8f01cfea414140de5dae2223");
        assert_eq!(id.to_string().parse::<ItemId>().unwrap(), id);
        assert!("ba78".parse::<ItemId>().is_err());
    }
}
