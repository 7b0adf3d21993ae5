//! An authority that certifies servers and clients, made by openssl for one test.

use std::{path::PathBuf, process::Command};

pub struct Authority {
    folder: tempfile::TempDir,
}

/// PEM files.
#[derive(Clone)]
pub struct Certified {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn found() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let this = Self { folder };
        this.openssl(&format!("req -x509 {NEW_KEY} -days 2 -subj /CN=tests -keyout ca.key -out ca.pem"));
        this
    }

    /// Whom to trust.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// For whoever is reached by this name, and by no other.
    pub fn certify(&self, name: &str) -> Certified {
        let extensions = format!("subjectAltName=DNS:{name}\n");
        std::fs::write(self.folder.path().join("extensions"), extensions).expect("writing");
        self.openssl(&format!("req -new {NEW_KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -days 2 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions \
             -out {name}.pem"
        ));
        let path = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        // A server may run as another user.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(path("key"), readable).expect("making a key readable");
        Certified { certificate: path("pem"), key: path("key") }
    }

    fn openssl(&self, args: &str) {
        let output =
            Command::new("openssl").args(args.split_whitespace()).current_dir(self.folder.path()).output();
        let output = output.expect("openssl");
        assert!(output.status.success(), "openssl {args}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
