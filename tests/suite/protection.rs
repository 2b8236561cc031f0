//! Who may read, and how what is read is encrypted: with curl and with a real Prometheus.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::certificates::Authority;
use crate::mongod::{Mongod, free_port};
use crate::process::{Server, folder};

/// A bcrypt hash of `hunter2`.
fn hash() -> String {
    bcrypt::hash("hunter2", 4).expect("a hash")
}

fn start(settings: &[(&str, &str)]) -> Server {
    let mut all =
        vec![("MONGODB_URI", Mongod::shared().uri.as_str()), ("MONGODB_DATABASE", "empty")];
    all.extend(settings);
    Server::start(&all)
}

/// What curl gets: the status code, and the headers in lower case.
fn curl(server: &Server, path: &str, arguments: &[&str]) -> Option<(u16, String)> {
    let output = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--dump-header", "-"])
        .args(["--write-out", "%{http_code}"])
        .args(arguments)
        .arg(format!("{}{path}", server.address()))
        .output()
        .expect("curl runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let (headers, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    let status = status.parse().expect("a status");
    output.status.success().then(|| (status, headers.to_ascii_lowercase()))
}

/// The status code, or 0 if there was no answer.
fn status(server: &Server, path: &str, arguments: &[&str]) -> u16 {
    curl(server, path, arguments).map_or(0, |(status, _)| status)
}

fn assert_health_is_open(server: &Server, arguments: &[&str]) {
    assert_eq!(status(server, "/healthz", arguments), 200);
    assert!([200, 503].contains(&status(server, "/readyz", arguments)));
}

#[test]
fn a_token_or_a_password_is_needed() {
    let folder = folder("credentials");
    let token = folder.join("token");
    std::fs::write(&token, "s3cret-token\n").expect("a file");
    let server = start(&[
        ("METRICS_BEARER_TOKEN_FILE", token.to_str().expect("a path")),
        ("METRICS_BASIC_AUTH_USER", "prometheus"),
        ("METRICS_BASIC_AUTH_PASSWORD", "hunter2"),
    ]);
    for path in ["/metrics", "/", "/status"] {
        let (code, headers) = curl(&server, path, &[]).expect("an answer");
        assert_eq!(code, 401);
        assert!(headers.contains("www-authenticate: basic realm="), "{headers}");
        assert!(headers.contains("www-authenticate: bearer realm="), "{headers}");
        for right in [
            &["--header", "Authorization: Bearer s3cret-token"],
            &["--header", "authorization: bearer  s3cret-token"],
            &["--user", "prometheus:hunter2"],
        ] {
            assert_eq!(status(&server, path, right), 200, "{right:?}");
        }
        for wrong in [
            &["--header", "Authorization: Bearer s3cret-toke"],
            &["--header", "Authorization: Bearer s3cret-token2"],
            &["--header", "Authorization: s3cret-token"],
            &["--header", "Authorization: Basic ???"],
            &["--header", "Authorization: Basic"],
            &["--user", "prometheus:hunter3"],
            &["--user", "prometheus:"],
            &["--user", ":hunter2"],
        ] {
            assert_eq!(status(&server, path, wrong), 401, "{wrong:?}");
        }
    }
    assert_health_is_open(&server, &[]);
}

#[test]
fn only_the_allowed_networks_may_read() {
    let server = start(&[
        ("METRICS_ALLOWED_IPS", "127.0.0.2, 10.0.0.0/8"),
        ("TRUSTED_PROXIES", "127.0.0.3"),
    ]);
    let from = |address, forwarded| {
        status(&server, "/metrics", &["--interface", address, "--header", forwarded])
    };
    assert_eq!(from("127.0.0.2", "Accept: */*"), 200);
    assert_eq!(from("127.0.0.1", "Accept: */*"), 403);
    assert_eq!(from("127.0.0.1", "X-Forwarded-For: 10.1.2.3"), 403);
    assert_eq!(from("127.0.0.3", "X-Forwarded-For: 10.1.2.3"), 200);
    assert_eq!(from("127.0.0.3", "X-Forwarded-For: 10.1.2.3, 8.8.8.8"), 403);
    assert_health_is_open(&server, &[]);
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("a path").to_owned()
}

#[test]
fn certificates_are_needed_on_both_sides_and_read_again_when_they_change() {
    let folder = folder("mutual-tls");
    let file = |name: &str| path(&folder, name);
    let authority = Authority::new(&folder, "authority");
    authority.certify("server");
    authority.certify("client");
    Authority::new(&folder, "stranger").certify("foreign");
    let (certificate, key, clients) =
        (file("server.crt"), file("server.key"), file("authority.crt"));
    let mut server = start(&[
        ("TLS_CERT_FILE", &certificate),
        ("TLS_KEY_FILE", &key),
        ("TLS_CLIENT_CA_FILE", &clients),
    ]);
    assert!(server.address().starts_with("https://"));
    let trust = ["--cacert", clients.as_str()];
    let with = |name: &str| {
        let (certificate, key) = (file(&format!("{name}.crt")), file(&format!("{name}.key")));
        [&trust[..], &["--cert", &certificate, "--key", &key]].concat().join("\n")
    };
    let ask = |server: &Server, arguments: &str| {
        status(server, "/metrics", &arguments.lines().collect::<Vec<_>>())
    };
    assert_eq!(ask(&server, &with("client")), 200);
    assert_eq!(status(&server, "/metrics", &trust), 403, "without a certificate");
    assert_eq!(ask(&server, &with("foreign")), 0, "a stranger's certificate");
    assert_eq!(status(&server, "/metrics", &[]), 0, "the server is not trusted");
    assert_eq!(status(&server, "/metrics", &["--cacert", &clients, "--tls-max", "1.1"]), 0);
    assert_eq!(status(&server, "/metrics", &["--cacert", &clients, "--tls-max", "1.2"]), 403);
    assert_health_is_open(&server, &trust);

    std::fs::write(&certificate, "nothing").expect("a file");
    server.wait_for(&["cannot be used", "server.crt: expected certificates in PEM"]);
    assert_eq!(ask(&server, &with("client")), 200, "the old certificate is used");
    let renewed = Authority::new(&folder, "authority");
    renewed.certify("server");
    renewed.certify("client");
    // The files may have been looked at while they were being written.
    while ask(&server, &with("client")) != 200 {
        server.wait_for(&["files of certificates"]);
    }
}

#[test]
fn a_web_configuration_file_of_the_exporter_toolkit_is_kept() {
    let folder = folder("web-config");
    let authority = Authority::new(&folder, "authority");
    authority.certify("server");
    let write = |user: &str| {
        let text = format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  min_version: TLS13\n\
             http_server_config:\n  headers:\n    X-Frame-Options: deny\n\
             basic_auth_users:\n  {user}: {}\n",
            hash()
        );
        std::fs::write(folder.join("web.yml"), text).expect("a file");
    };
    write("alice");
    let mut server = start(&[("WEB_CONFIG_FILE", &path(&folder, "web.yml"))]);
    let trust = path(&folder, "authority.crt");
    let ask = |server: &Server, user: &str| {
        curl(server, "/metrics", &["--cacert", &trust, "--user", user]).expect("an answer")
    };
    for _ in 0..2 {
        let (code, headers) = ask(&server, "alice:hunter2");
        assert_eq!(code, 200);
        assert!(headers.contains("x-frame-options: deny"), "{headers}");
    }
    assert_eq!(ask(&server, "alice:hunter3").0, 401);
    assert_eq!(ask(&server, "bob:hunter2").0, 401);
    assert_eq!(status(&server, "/metrics", &["--cacert", &trust, "--tls-max", "1.2"]), 0);
    assert_health_is_open(&server, &["--cacert", &trust]);
    write("bob");
    server.wait_for(&["read the changed files"]);
    assert_eq!(ask(&server, "bob:hunter2").0, 200);
    assert_eq!(ask(&server, "alice:hunter2").0, 401);
}

#[test]
fn a_file_that_is_emptied_does_not_open_the_door() {
    let folder = folder("emptied");
    let file = path(&folder, "web.yml");
    let write = |text: &str| std::fs::write(&file, text).expect("a file");
    write(&format!("basic_auth_users:\n  alice: {}\n", hash()));
    let mut server = start(&[("WEB_CONFIG_FILE", &file)]);
    assert_eq!(status(&server, "/metrics", &[]), 401);
    write("");
    server.wait_for(&["let in who was kept out"]);
    assert_eq!(status(&server, "/metrics", &[]), 401);
    assert_eq!(status(&server, "/metrics", &["--user", "alice:hunter2"]), 200);
    write(&format!("basic_auth_users:\n  bob: {}\n", hash()));
    server.wait_for(&["read the changed files"]);
    assert_eq!(status(&server, "/metrics", &["--user", "alice:hunter2"]), 401);
    assert_eq!(status(&server, "/metrics", &["--user", "bob:hunter2"]), 200);
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_holds_up_nobody() {
    let folder = folder("fifo");
    let authority = Authority::new(&folder, "authority");
    authority.certify("server");
    let (certificate, key) = (path(&folder, "server.crt"), path(&folder, "server.key"));
    let server = start(&[("TLS_CERT_FILE", &certificate), ("TLS_KEY_FILE", &key)]);
    std::fs::remove_file(&certificate).expect("a file");
    let made = Command::new("mkfifo").arg(&certificate).status().expect("mkfifo runs");
    assert!(made.success());
    // Opening waits for a reader, who then waits for the end of what is written.
    let unwritten = std::fs::File::options().write(true).open(&certificate).expect("a reader");
    let trust = path(&folder, "authority.crt");
    for _ in 0..20 {
        assert_health_is_open(&server, &["--cacert", &trust, "--max-time", "5"]);
    }
    assert!(server.end("TERM").success());
    drop(unwritten);
}

#[test]
fn prometheus_scrapes_with_every_kind_of_credentials() {
    let folder = folder("prometheus");
    let file = |name: &str| path(&folder, name);
    let authority = Authority::new(&folder, "authority");
    authority.certify("server");
    authority.certify("client");
    let web = format!("basic_auth_users:\n  alice: {}\n", hash());
    std::fs::write(folder.join("web.yml"), web).expect("a file");
    let (certificate, key, clients) =
        (file("server.crt"), file("server.key"), file("authority.crt"));
    let servers = [
        ("bearer", start(&[("METRICS_BEARER_TOKEN", "hunter2")])),
        (
            "basic",
            start(&[
                ("METRICS_BASIC_AUTH_USER", "alice"),
                ("METRICS_BASIC_AUTH_PASSWORD", "hunter2"),
            ]),
        ),
        ("toolkit", start(&[("WEB_CONFIG_FILE", &file("web.yml"))])),
        (
            "certificate",
            start(&[
                ("TLS_CERT_FILE", &certificate),
                ("TLS_KEY_FILE", &key),
                ("TLS_CLIENT_CA_FILE", &clients),
            ]),
        ),
        ("network", start(&[("METRICS_ALLOWED_IPS", "127.0.0.0/8")])),
    ];
    let password = "basic_auth: { username: alice, password: hunter2 }";
    let certified = format!(
        "scheme: https\n    tls_config: {{ ca_file: {clients}, cert_file: {}, key_file: {} }}",
        file("client.crt"),
        file("client.key")
    );
    let mut config = "global: { scrape_interval: 1s }\nscrape_configs:\n".to_owned();
    for (name, server) in &servers {
        let (_, address) = server.address().split_once("//").expect("a scheme");
        let credentials = match *name {
            "bearer" => "authorization: { credentials: hunter2 }",
            "basic" | "toolkit" => password,
            "certificate" => &certified,
            _ => "scheme: http",
        };
        config.push_str(&format!(
            "  - job_name: {name}\n    static_configs: [{{ targets: ['{address}'] }}]\n    {credentials}\n"
        ));
    }
    let prometheus = Prometheus::start(&folder, &config);
    for (name, _) in &servers {
        prometheus.wait_until(&format!("up{{job=\"{name}\"}} == 1"));
        prometheus.wait_until(&format!("usage_exporter_build_info{{job=\"{name}\"}} == 1"));
    }
}

/// A real Prometheus that ends with the test.
struct Prometheus {
    process: Child,
    address: String,
}

impl Prometheus {
    fn start(folder: &Path, config: &str) -> Prometheus {
        let file: PathBuf = folder.join("prometheus.yml");
        std::fs::write(&file, config).expect("a file");
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus (Debian's package prometheus) is installed");
        Prometheus { process, address: format!("http://{address}") }
    }

    /// Asks until the query has an answer. Prometheus does not tell when it has scraped.
    fn wait_until(&self, query: &str) {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = format!("{}/api/v1/query?query={encoded}", self.address);
        for _ in 0..600 {
            let answer = ureq::get(&url).call().ok();
            let answer = answer.and_then(|answer| answer.into_body().read_to_string().ok());
            if answer.is_some_and(|answer| answer.contains("\"value\"")) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("Prometheus has no answer to {query}");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
