//! The real binary as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use ureq::http::Response;

use crate::planted::{assert_state_tells_none, assert_tells_none};

/// The variables that every test sets for itself.
const SETTINGS: [&str; 3] = ["MONGODB_URI", "MONGO_URI", "METRICS_PORT"];

/// A command for the binary with these settings only.
pub fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usage-exporter"));
    for setting in SETTINGS {
        command.env_remove(setting);
    }
    // Away from the repository, in which someone may keep a file .env.
    command.current_dir(std::env::temp_dir());
    command.envs(settings.iter().copied());
    command
}

/// Runs the binary to its end.
pub fn run(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    checked(command(settings).args(arguments))
}

/// Runs a command to its end, which must not tell what was planted.
fn checked(command: &mut Command) -> Output {
    let output = command.output().expect("the binary runs");
    for bytes in [&output.stdout, &output.stderr] {
        assert_tells_none(&String::from_utf8_lossy(bytes), "the output");
    }
    output
}

/// The most memory that a process has had resident; `None` if it has ended.
pub fn peak_resident_bytes(process: u32) -> Option<u64> {
    memory(process, "VmHWM:")
}

fn memory(process: u32, figure: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(figure))?;
    let kilobytes = line.split_whitespace().nth(1)?;
    Some(kilobytes.parse::<u64>().ok()? * 1024)
}

/// Runs the binary to its end in a folder with a file `.env` of these lines.
pub fn run_with_dotenv(lines: impl AsRef<[u8]>, settings: &[(&str, &str)]) -> Output {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = folder(&format!("dotenv-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    std::fs::write(folder.join(".env"), lines).expect("a file");
    checked(command(settings).current_dir(folder))
}

/// An empty folder for files of a test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // There is none at the first time.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// How long a line of the log is waited for. Nothing that a test waits for takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that ends with the test.
pub struct Server {
    child: Child,
    address: String,
    lines: Receiver<String>,
    state: Option<PathBuf>,
    /// Everything logged so far.
    pub log: Vec<String>,
}

impl Server {
    /// Starts the binary on a free port, logging everything.
    pub fn start(settings: &[(&str, &str)]) -> Server {
        let mut child = command(&[("METRICS_HOST", "127.0.0.1"), ("METRICS_PORT", "0")])
            .envs([("LOGGING_LEVEL", "debug"), ("METRICS_CACHE_TTL", "1")])
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The test may be over.
                let _ = sender.send(line);
            }
        });
        let state = settings.iter().find(|(name, _)| *name == "STATE_FILE");
        let state = state.map(|(_, path)| PathBuf::from(path));
        let mut server = Server { child, address: String::new(), lines, state, log: Vec::new() };
        let line = server.wait_for(&["serving metrics on http"]);
        let start = line.find("http").expect("an address");
        let end = line.find("/metrics").expect("a path");
        server.address = line[start..end].to_owned();
        server
    }

    /// Reads the log up to a line that has all of `parts`, and fails when none comes for a long time.
    pub fn wait_for(&mut self, parts: &[&str]) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|why| {
                panic!("no line with {parts:?}, {why}:\n{}", self.log.join("\n"))
            });
            self.log.push(line.clone());
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    /// Reads what has been logged until now.
    pub fn skip_what_was_logged(&mut self) {
        self.log.extend(self.lines.try_iter());
    }

    /// Waits until every collector has answered since the start but the one that reads days again, and the
    /// one of the messages after those on which its answer depends.
    pub fn wait_until_complete(&mut self) {
        let mut messages_asked = false;
        let mut waiting = vec!["baseline", "feedback"];
        let mut read = 0;
        while !waiting.is_empty() || !messages_asked {
            if read == self.log.len() {
                self.wait_for(&[]);
            }
            let line = &self.log[read];
            read += 1;
            if !line.contains("refreshed") {
                continue;
            }
            let of = |name: &str| line.contains(&format!("collector=\"{name}\""));
            waiting.retain(|name| !of(name));
            messages_asked |= of("messages") && waiting.is_empty();
        }
        // What collectors answer is there before they log it.
        let only_days = "\"waiting_for\":[\"days\"]";
        loop {
            let readiness = self.get("/readyz");
            if readiness.contains("\"ready\":true") || readiness.contains(only_days) {
                break;
            }
            self.wait_for(&["refreshed"]);
        }
        // Those that are not critical have answered too: each has a duration.
        let told = |page: &str, family: &str| page.matches(&format!("\n{family}{{")).count();
        loop {
            let page = self.get("/metrics");
            let asked = told(&page, "usage_exporter_collector_duration_seconds");
            if asked == told(&page, "usage_exporter_documents_read_total") {
                break;
            }
            self.wait_for(&["refreshed"]);
        }
        // The answer may have been on its way already; then another follows.
        let depending = ["\nlibrechat_messages_total ", "\nlibrechat_thumbs_up_total "];
        while !depending.iter().all(|sample| self.get("/metrics").contains(sample)) {
            self.wait_for(&["refreshed", "collector=\"messages\""]);
        }
    }

    /// Its address, such as `http://127.0.0.1:4711`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection that has not asked for anything.
    pub fn connect(&self) -> TcpStream {
        let (_, address) = self.address.split_once("//").expect("a scheme");
        TcpStream::connect(address).expect("a connection")
    }

    /// A connection on which a request has been answered, and which stays open.
    pub fn kept_alive(&self) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: exporter\r\n\r\n").expect("a request");
        let mut first = [0];
        stream.read_exact(&mut first).expect("an answer");
        stream
    }

    /// A request with a header.
    pub fn request(&self, method: &str, path: &str, header: (&str, &str)) -> Response<ureq::Body> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header(header.0, header.1)
            .body(())
            .expect("a request");
        agent.run(request).expect("an answer")
    }

    /// The body of a GET request.
    pub fn get(&self, path: &str) -> String {
        let mut body = String::new();
        let response = self.request("GET", path, ("Accept", "*/*"));
        response.into_body().into_reader().read_to_string(&mut body).expect("text");
        assert_tells_none(&body, path);
        body
    }

    /// Begins a GET request for the metrics; its body, if the server lived to answer.
    pub fn begin_scrape(&self) -> JoinHandle<Option<String>> {
        let uri = format!("{}/metrics", self.address);
        std::thread::spawn(move || ureq::get(uri).call().ok()?.into_body().read_to_string().ok())
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had resident.
    pub fn peak_resident_bytes(&self) -> u64 {
        peak_resident_bytes(self.pid()).expect("a process")
    }

    /// The memory that it has resident.
    pub fn resident_bytes(&self) -> u64 {
        memory(self.pid(), "VmRSS:").expect("a process")
    }

    /// How many files and connections it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("a process").count()
    }

    /// Sends a signal and waits for the end.
    pub fn end(mut self, signal: &str) -> ExitStatus {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("it ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            return;
        }
        self.log.extend(self.lines.iter());
        assert_tells_none(&self.log.join("\n"), "the log");
        if let Some(state) = &self.state {
            assert_state_tells_none(state);
        }
    }
}
