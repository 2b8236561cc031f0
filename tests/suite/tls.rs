//! TLS with certificates of the kinds that people have, which `tests/certificates.sh` makes with openssl: the
//! exporter reads what pymongo reads, and else the log says which certificate is refused and why.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream as StdTcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::mongod::{Mongod, free_port};
use crate::process::{Server, folder, run};

/// How many servers are tried at a time: MongoDB takes a while to start.
const WORKERS: usize = 3;

/// What comes of a connection.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// The exporter reads, and so does pymongo.
    Reads,
    /// Neither does, and a line of the log has these words.
    Refused(&'static [&'static str]),
    /// The exporter does not start and says this; pymongo does not read.
    Wrong(&'static [&'static str]),
    /// As refused, but pymongo reads.
    OnlyPymongoReads(&'static [&'static str]),
}

use Outcome::{OnlyPymongoReads, Reads, Refused, Wrong};

/// Who shows the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Front {
    /// MongoDB.
    Open,
    /// MongoDB, which wants a certificate of this authority from every client.
    Strict(&'static str),
    /// A proxy, where MongoDB would not start with such a certificate.
    Proxy,
    /// MongoDB without TLS.
    Plain,
}

use Front::{Open, Plain, Proxy, Strict};

/// A certificate of a server, what the URI says, and what comes of it. `{}` is the folder of the files.
type Case = (Front, &'static str, &'static str, Outcome);

/// The host in a URI, its options, and what comes of it.
type Tried = (&'static str, &'static str, Outcome);

const OWN: &str = "127.0.0.1";
const NAMED: &str = "localhost";
const ROOT: &str = "tlsCAFile={}/root.crt";

#[rustfmt::skip]
const CASES: &[(&str, Case)] = &[
    // The usual one-liners.
    (OWN, (Open, "own", "tlsCAFile={}/own.crt", Reads)),
    (NAMED, (Open, "own-by-name", "tlsCAFile={}/own-by-name.crt", Reads)),
    (OWN, (Open, "own-by-name", "tlsCAFile={}/own-by-name.crt", Refused(&["IP address mismatch", "CN=localhost"]))),
    (NAMED, (Open, "v1", ROOT, Reads)),
    (OWN, (Open, "v1", "tlsCAFile={}/root.crt&tlsAllowInvalidHostnames=true", Reads)),
    (OWN, (Open, "v1", "tls=true&tlsAllowInvalidCertificates=true", Reads)),
    (OWN, (Open, "own", ROOT, Refused(&["self-signed certificate", "CN=localhost"]))),
    (OWN, (Open, "own", "tls=true", Refused(&["self-signed certificate", "CN=localhost"]))),
    // Names.
    (OWN, (Open, "good", ROOT, Reads)),
    (NAMED, (Open, "good", ROOT, Reads)),
    (NAMED, (Open, "dns-only", ROOT, Reads)),
    (OWN, (Open, "dns-only", ROOT, Refused(&["IP address mismatch", "it is one of localhost"]))),
    (OWN, (Open, "address-as-name", ROOT, Refused(&["IP address mismatch", "no server"]))),
    (NAMED, (Open, "other-name", ROOT, Refused(&["hostname mismatch", "db.example, mongo.example"]))),
    (NAMED, (Open, "other-name", "tlsCAFile={}/root.crt&tlsAllowInvalidHostnames=true", Reads)),
    (NAMED, (Open, "other-name", "tls=true&tlsInsecure=true", Reads)),
    (NAMED, (Open, "wildcard", ROOT, Refused(&["hostname mismatch", "*.localhost"]))),
    // Dates and purposes.
    (OWN, (Proxy, "expired", ROOT, Refused(&["certificate has expired", "it was valid to Jan  1 00:00:00 2021"]))),
    (OWN, (Proxy, "expired", "tls=true&tlsAllowInvalidCertificates=true", Reads)),
    (OWN, (Proxy, "future", ROOT, Refused(&["not yet valid", "it is valid from Jan  1 00:00:00 2090"]))),
    (OWN, (Open, "for-clients", ROOT, Refused(&["unsuitable certificate purpose", "CN=localhost"]))),
    // Chains.
    (OWN, (Open, "below-chain", ROOT, Reads)),
    (OWN, (Open, "below-mixed", ROOT, Reads)),
    (OWN, (Open, "below-all", ROOT, Reads)),
    (OWN, (Open, "below", ROOT, Refused(&["unable to get local issuer", "CN=Example intermediate"]))),
    (OWN, (Open, "below", "tlsCAFile={}/root-and-intermediate.crt", Reads)),
    (OWN, (Open, "below-chain", "tlsCAFile={}/intermediate.crt", Refused(&["unable to get issuer", "CN=Example"]))),
    (OWN, (Open, "good", "tlsCAFile={}/good.crt", Refused(&["unable to", "CN=Example root"]))),
    (OWN, (Open, "good", "tlsCAFile={}/stranger.crt", Refused(&["unable to get local issuer", "CN=Example root"]))),
    // Keys.
    (OWN, (Proxy, "rsa1024", ROOT, Refused(&["key too weak", "CN=localhost"]))),
    (OWN, (Open, "rsa2048", ROOT, Reads)),
    (OWN, (Open, "rsa3072", ROOT, Reads)),
    (OWN, (Open, "rsa4096", ROOT, Reads)),
    (OWN, (Open, "p384", ROOT, Reads)),
    (OWN, (Open, "p521", ROOT, Reads)),
    (OWN, (Open, "ed25519", ROOT, Reads)),
    (OWN, (Open, "pss", ROOT, Reads)),
    (OWN, (Proxy, "sha1", ROOT, Refused(&["digest algorithm too weak", "CN=localhost"]))),
    // Authorities.
    (OWN, (Open, "good", "tlsCAFile={}/two.crt", Reads)),
    (OWN, (Open, "good", "tlsCAFile={}/crlf.crt", Reads)),
    (OWN, (Open, "good", "tlsCAFile={}/der.crt", Wrong(&["tlsCAFile to have certificates in PEM"]))),
    (OWN, (Open, "good", "tlsCAFile={}/good.key", Wrong(&["tlsCAFile to have certificates in PEM"]))),
    (OWN, (Open, "good", "tlsCAFile={}/missing.crt", Wrong(&["tlsCAFile", "missing.crt (No such file"]))),
    (OWN, (Open, "under-v1", "tlsCAFile={}/root-v1.crt", Reads)),
    (OWN, (Open, "under-no-root", "tlsCAFile={}/no-root.crt", Refused(&["invalid CA certificate", "CN=No root"]))),
    // No TLS on one side.
    (OWN, (Plain, "", ROOT, Refused(&["does not speak TLS"]))),
    // Certificates of clients.
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client.pem", Reads)),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-pkcs1.pem", Reads)),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-sec1.pem", Reads)),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-crlf.pem", Reads)),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-key-first.pem", Reads)),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-locked.pem&tlsCertificateKeyFilePassword=hunter2", Reads)),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-locked-pkcs1.pem&tlsCertificateKeyFilePassword=hunter2", Reads)),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-locked.pem&tlsCertificateKeyFilePassword=hunter3", Wrong(&["tlsCertificateKeyFilePassword to open"]))),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-locked.pem", Wrong(&["tlsCertificateKeyFilePassword, since the key"]))),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-mismatch.pem", Wrong(&["begin with the certificate of its key"]))),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client.crt", Wrong(&["to have a private key in PEM"]))),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-weak.pem", Wrong(&["that OpenSSL takes", "too small"]))),
    (OWN, (Strict("root"), "good", ROOT, Refused(&["refuses the exporter", "no tlsCertificateKeyFile"]))),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-stranger.pem", Refused(&["refuses the exporter", "client-stranger.pem"]))),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-expired.pem", Refused(&["refuses the exporter", "client-expired.pem"]))),
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root-and-intermediate.crt&tlsCertificateKeyFile={}/client-below-chain.pem", Reads)),
    // The driver sends only the first certificate of the file, and the note says what to do.
    (OWN, (Strict("root"), "good", "tlsCAFile={}/root.crt&tlsCertificateKeyFile={}/client-below-chain.pem", OnlyPymongoReads(&["only if they are in tlsCAFile too"]))),
];

#[test]
fn certificates_of_every_kind_are_taken_as_pymongo_takes_them_or_named() {
    let folder = made();
    let mut servers: BTreeMap<(Front, &str), Vec<Tried>> = BTreeMap::new();
    for (host, (front, certificate, options, outcome)) in CASES {
        servers.entry((*front, certificate)).or_default().push((host, options, *outcome));
    }
    let waiting = Mutex::new(servers);
    let wrong = Mutex::new(Vec::new());
    let take = || waiting.lock().expect("a lock").pop_first();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(((front, certificate), cases)) = take() {
                    let found = try_server(front, certificate, &cases, &folder);
                    wrong.lock().expect("a lock").extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("a lock");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// What comes otherwise than expected of the cases of one server.
fn try_server(front: Front, certificate: &str, cases: &[Tried], folder: &Path) -> Vec<String> {
    let server = TlsServer::start(front, certificate, folder);
    let uris: Vec<String> =
        cases.iter().map(|(host, options, _)| server.uri(host, options, folder)).collect();
    let mut wrong = Vec::new();
    for ((uri, (_, _, outcome)), theirs) in uris.iter().zip(cases).zip(pymongo(&uris, &[])) {
        let reads = matches!(outcome, Reads | OnlyPymongoReads(_));
        if reads != theirs.is_empty() {
            wrong.push(format!("{certificate} {uri}: pymongo says {theirs:?}"));
        }
        wrong
            .extend(differs(uri, *outcome, &[]).map(|said| format!("{certificate} {uri}: {said}")));
    }
    wrong
}

#[test]
fn the_authorities_of_the_machine_are_trusted_where_none_are_named_and_only_there() {
    let folder = made();
    let server = TlsServer::start(Open, "good", &folder);
    let path = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
    let root = path("root.crt");
    let environment = [("SSL_CERT_FILE", root.as_str())];
    let refused = Refused(&["unable to get local issuer", "CN=Example root"]);
    for (options, outcome) in [("tls=true", Reads), ("tlsCAFile={}/stranger.crt", refused)] {
        let uri = server.uri(OWN, options, &folder);
        let theirs = pymongo(std::slice::from_ref(&uri), &environment);
        assert_eq!(theirs[0].is_empty(), matches!(outcome, Reads), "{theirs:?}");
        assert_eq!(differs(&uri, outcome, &environment), None, "{options}");
    }
    let odd = "quo\"ted $HOME \\ it's.crt";
    std::fs::copy(folder.join("root.crt"), folder.join(odd)).expect("a file");
    let uri = server.uri(OWN, "tlsCAFile={}/quo%22ted%20$HOME%20%5C%20it's.crt", &folder);
    assert_eq!(differs(&uri, Reads, &[]), None);
}

/// The folder in which every certificate is.
fn made() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let folder = folder("tls");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates.sh");
        let status = Command::new(script).arg(&folder).status().expect("the script runs");
        assert!(status.success(), "{script} fails");
        folder
    };
    MADE.get_or_init(make).clone()
}

/// How the exporter does otherwise than expected.
fn differs(uri: &str, outcome: Outcome, environment: &[(&str, &str)]) -> Option<String> {
    let settings = [&[("MONGODB_URI", uri)], environment].concat();
    if let Wrong(words) = outcome {
        let output = run(&settings, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let fine = output.status.code() == Some(2)
            && words.iter().all(|word| said.contains(word))
            && !said.contains("hunter");
        return (!fine).then_some(said);
    }
    let mut server = Server::start(&settings);
    let words = match outcome {
        Refused(words) | OnlyPymongoReads(words) => words,
        Reads | Wrong(_) => &[],
    };
    // A collector is told of the failure after the look at the certificate, which is in the log by then.
    let line = server.wait_for(&["collector="]);
    let page = server.get("/metrics");
    if words.is_empty() {
        // The database is empty, and whoever says so has read it.
        return (!page.contains("librechat_up 1")).then(|| server.log.join("\n"));
    }
    server.skip_what_was_logged();
    let is_named = server
        .log
        .iter()
        .any(|line| line.contains("WARN") && words.iter().all(|word| line.contains(word)));
    let fine = is_named && line.contains("refresh failed") && page.contains("librechat_up 0");
    (!fine).then(|| server.log.join("\n"))
}

/// What pymongo says of each URI: nothing if it reads.
fn pymongo(uris: &[String], environment: &[(&str, &str)]) -> Vec<String> {
    const SCRIPT: &str = "\
import sys, warnings
import pymongo
warnings.simplefilter('ignore')
for uri in sys.argv[1:]:
    try:
        pymongo.MongoClient(uri).admin.command('ping')
        print()
    except Exception as error:
        print(' '.join(str(error).split())[:200] or 'fails')
";
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/python.sh");
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .args(uris)
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// What shows a certificate, with MongoDB behind it.
struct TlsServer {
    port: u16,
    _mongod: Option<Mongod>,
    _proxy: Option<tokio::runtime::Runtime>,
}

impl TlsServer {
    fn start(front: Front, certificate: &str, folder: &Path) -> TlsServer {
        let file = |name: &str| folder.join(name).to_str().expect("a path").to_owned();
        let pem = file(&format!("{certificate}.pem"));
        let port = free_port();
        let mongod = |more: &[&str]| {
            let small = ["--wiredTigerCacheSizeGB", "0.25"];
            let always = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", &pem];
            TlsServer {
                port,
                _mongod: Some(Mongod::start_on(port, &[&small[..], &always[..], more].concat())),
                _proxy: None,
            }
        };
        let server = match front {
            Open => mongod(&["--tlsAllowConnectionsWithoutCertificates"]),
            Strict(authority) => mongod(&["--tlsCAFile", &file(&format!("{authority}.crt"))]),
            Plain => TlsServer { port: shared_port(), _mongod: None, _proxy: None },
            Proxy => TlsServer { port, _mongod: None, _proxy: Some(proxy(port, &pem)) },
        };
        while StdTcpStream::connect(("127.0.0.1", server.port)).is_err() {
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn uri(&self, host: &str, options: &str, folder: &Path) -> String {
        let options = options.replace("{}", folder.to_str().expect("a path"));
        format!("mongodb://{host}:{}/LibreChat?{options}&serverSelectionTimeoutMS=800", self.port)
    }
}

fn shared_port() -> u16 {
    let port = Mongod::shared().uri.rsplit(':').next().and_then(|port| port.parse().ok());
    port.expect("a port")
}

/// A proxy in front of the shared MongoDB that shows a certificate, however weak or old.
fn proxy(port: u16, pem: &str) -> tokio::runtime::Runtime {
    let mut acceptor =
        SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("OpenSSL");
    acceptor.set_security_level(0);
    acceptor.set_certificate_chain_file(pem).expect("a certificate");
    acceptor.set_private_key_file(pem, SslFiletype::PEM).expect("a key");
    let acceptor = acceptor.build();
    let behind = shared_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    listener.set_nonblocking(true).expect("a listener");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((stream, _)) = listener.accept().await {
            let ssl = openssl::ssl::Ssl::new(acceptor.context()).expect("OpenSSL");
            let mut stream = SslStream::new(ssl, stream).expect("OpenSSL");
            tokio::spawn(async move {
                if std::pin::Pin::new(&mut stream).accept().await.is_ok() {
                    let mut mongod =
                        TcpStream::connect(("127.0.0.1", behind)).await.expect("mongod");
                    // One of both ends it.
                    let _ = copy_bidirectional(&mut stream, &mut mongod).await;
                }
            });
        }
    });
    runtime
}
