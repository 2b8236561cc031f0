//! Authorities and certificates in files of their own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority and the folder in which it puts what it certifies.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let authority = Authority { issuer, folder: folder.to_owned() };
        authority.write(name, "crt", &authority.issuer.pem());
        authority
    }

    /// Writes a certificate `NAME.crt` for 127.0.0.1 and its key `NAME.key`.
    pub fn certify(&self, name: &str) {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])
                .expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(name, "key", &key.serialize_pem());
        self.write(name, "crt", &certificate.pem());
    }

    fn write(&self, name: &str, kind: &str, pem: &str) {
        std::fs::write(self.folder.join(format!("{name}.{kind}")), pem).expect("a file");
    }
}
