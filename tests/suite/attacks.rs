//! Clients that mean harm: whatever they send or hold open, others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::mongod::Mongod;
use crate::process::Server;

const SLOW_LORIS: usize = 2_000;

fn start() -> Server {
    Server::start(&[("MONGODB_URI", &Mongod::shared().uri), ("MONGODB_DATABASE", "empty")])
}

fn send(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = server.connect();
    // The server may have had enough before the end.
    let _ = stream.write_all(bytes);
    stream
}

/// All that is answered until the server ends the connection.
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut stream = send(server, bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn first_line(server: &Server, bytes: &[u8]) -> String {
    answer(server, bytes).lines().next().unwrap_or_default().to_owned()
}

fn assert_serves(server: &Server) {
    assert!(server.get("/metrics").contains("usage_exporter_build_info"));
}

#[test]
fn two_thousand_slow_connections_keep_nobody_out() {
    rlimit::increase_nofile_limit(2 * SLOW_LORIS as u64).expect("enough files may be open");
    let server = start();
    let mut slow: Vec<TcpStream> = Vec::new();
    for number in 0..SLOW_LORIS {
        slow.push(send(&server, b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nX-Slow: "));
        if number % 100 == 99 {
            assert_serves(&server);
        }
    }
    for stream in &mut slow {
        // Those that had to make room are closed.
        let _ = stream.write_all(b"a");
    }
    assert_serves(&server);
    let resident = server.peak_resident_bytes();
    assert!(resident < 64 << 20, "{resident} bytes resident");
    let open = server.open_files();
    assert!(open < 600, "{open} open files");
    // A connection that had to make room has been closed and not forgotten.
    let mut first = slow.swap_remove(0);
    first.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    assert_eq!(first.read(&mut [0; 16]).unwrap_or(0), 0);
}

#[test]
fn what_is_no_request_costs_only_its_own_connection() {
    let server = start();
    let long = "a".repeat(1 << 20);
    let many: String = (0..1_000).map(|number| format!("X-{number}: 1\r\n")).collect();
    for (request, status) in [
        (format!("GET /metrics HTTP/1.1\r\nHost: e\r\nX-Long: {long}\r\n\r\n"), "431"),
        (format!("GET /metrics HTTP/1.1\r\nHost: e\r\n{many}\r\n"), "431"),
        (format!("GET /{long} HTTP/1.1\r\nHost: e\r\n\r\n"), "431"),
        ("GET /metrics\r\n\r\n".to_owned(), "400"),
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        ("GET /metrics HTTP/9.9\r\nHost: e\r\n\r\n".to_owned(), "400"),
        ("GET /metrics HTTP/1.1\r\nHost e\r\n\r\n".to_owned(), "400"),
        ("GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(), "400"),
        ("GET /nothing HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n".to_owned(), "404"),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n".to_owned(), "404"),
        ("POST /metrics HTTP/1.1\r\nHost: e\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc".to_owned(), "405"),
        ("DELETE / HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n".to_owned(), "405"),
    ] {
        let start: String = request.chars().take(60).collect();
        let line = first_line(&server, request.as_bytes());
        // A server that has had enough resets the connection, and its answer may be lost with it.
        let lost = line.is_empty() && request.len() > 100_000;
        assert!(line.contains(status) || lost, "{line:?} to {start:?}");
        assert_serves(&server);
    }
}

#[test]
fn a_thousand_requests_on_one_connection_are_answered_in_turn() {
    let server = start();
    let last = "GET /metrics HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n";
    let requests = "GET /healthz HTTP/1.1\r\nHost: e\r\n\r\n".repeat(999) + last;
    let mut stream = server.connect();
    let mut sender = stream.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || sender.write_all(requests.as_bytes()));
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers");
    sending.join().expect("the sender").expect("all was taken");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 1_000);
    assert!(answers.contains("usage_exporter_build_info"));
}

#[test]
fn whoever_asks_and_does_not_read_costs_only_a_connection() {
    let server = start();
    let request = "GET /metrics HTTP/1.1\r\nHost: e\r\nAccept-Encoding: gzip\r\n\r\n".repeat(200);
    let silent: Vec<TcpStream> = (0..600).map(|_| send(&server, request.as_bytes())).collect();
    assert_serves(&server);
    let resident = server.peak_resident_bytes();
    assert!(resident < 64 << 20, "{resident} bytes resident");
    drop(silent);
    assert_serves(&server);
}
