//! A real mongod for the tests of this process.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use mongodb::bson::doc;
use mongodb::{Client, Database};

/// A mongod that ends with the process that started it, however that ends.
pub struct Mongod {
    pub uri: String,
    /// Its standard input is a pipe; when that closes, the shell around mongod stops it.
    _shell: Child,
}

impl Mongod {
    /// The one that all tests share.
    pub fn shared() -> &'static Mongod {
        static SHARED: OnceLock<Mongod> = OnceLock::new();
        SHARED.get_or_init(|| Mongod::start(&["--wiredTigerCacheSizeGB", "0.25"]))
    }

    /// One of its own, with further arguments.
    pub fn start(arguments: &[&str]) -> Mongod {
        Mongod::start_on(free_port(), arguments)
    }

    /// One of its own on a port.
    pub fn start_on(port: u16, arguments: &[&str]) -> Mongod {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mongod.sh");
        let output =
            Command::new(script).stderr(Stdio::inherit()).output().expect("mongod.sh runs");
        assert!(output.status.success(), "no mongod: see above");
        let mongod = String::from_utf8(output.stdout).expect("a path");
        let shell = Command::new("sh")
            .arg("-c")
            .arg(
                r#"data=$(mktemp -d); "$0" --dbpath "$data" --bind_ip 127.0.0.1 --nounixsocket --quiet "$@" \
                   >"$data/log" 2>&1 </dev/null & mongod=$!
                   cat >/dev/null; kill -9 $mongod; wait $mongod 2>/dev/null; rm -rf "$data""#,
            )
            .arg(mongod.trim())
            .args(["--port", &port.to_string()])
            .args(["--setParameter", "ttlMonitorEnabled=false"])
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh runs");
        Mongod { uri: format!("mongodb://127.0.0.1:{port}"), _shell: shell }
    }

    /// A client, once mongod answers.
    pub async fn client(&self) -> Client {
        let uri = format!("{}/?directConnection=true", self.uri);
        let client = Client::with_uri_str(uri).await.expect("a URI");
        client.database("admin").run_command(doc! { "ping": 1 }).await.expect("mongod answers");
        client
    }

    /// A database that no other test uses, of a LibreChat that has just begun: it has made its collections.
    pub async fn database(&self) -> Database {
        let database = self.empty_database().await;
        database.create_collection("messages").await.expect("a collection");
        database
    }

    /// A database that no other test uses, without any collection.
    pub async fn empty_database(&self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("librechat_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.client().await.database(&name)
    }
}

/// A TCP port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
