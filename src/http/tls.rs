//! Encryption: from files in PEM to what the TLS library needs.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{
    NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier,
};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::engine::watched_files::{Files, Pem, Refused};

/// What encryption is made of.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The chain of the server's certificate.
    pub certificate: Pem,
    /// The key of the certificate.
    pub key: Pem,
    /// The authorities whose client certificates are trusted. A client without a certificate is not
    /// turned away here, so that it can still ask whether the server lives.
    pub client_authorities: Option<Pem>,
    /// The versions of TLS that are spoken.
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

impl Tls {
    /// Reads the files and checks that they fit together.
    ///
    /// # Errors
    ///
    /// The file that cannot be used, and why.
    pub fn load(&self, files: &mut Files) -> Result<Arc<ServerConfig>, Refused> {
        let chain = certificates(&self.certificate, files)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key.read(files)?)
            .map_err(|_| self.key.refused("a private key in PEM, not encrypted"))?;
        let provider = Arc::new(ring::default_provider());
        let clients: Arc<dyn ClientCertVerifier> = match &self.client_authorities {
            None => Arc::new(NoClientAuth),
            Some(authorities) => {
                let expected = "certificates of authorities in PEM";
                let mut roots = RootCertStore::empty();
                let (_, ignored) =
                    roots.add_parsable_certificates(certificates(authorities, files)?);
                if ignored > 0 {
                    return Err(authorities.refused(expected));
                }
                WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                    .allow_unauthenticated()
                    .build()
                    .map_err(|_| authorities.refused(expected))?
            }
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .map_err(|_| self.certificate.refused("a version of TLS from 1.2 to 1.3"))?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(|error| {
                let expected = format!("the private key of the certificate ({error})");
                self.key.refused(&expected)
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(pem: &Pem, files: &mut Files) -> Result<Vec<CertificateDer<'static>>, Refused> {
    let bytes = pem.read(files)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| pem.refused("certificates in PEM"))
}
