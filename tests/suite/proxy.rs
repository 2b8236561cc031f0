//! A TCP proxy between the exporter and its MongoDB, which lets pass, freezes, delays or cuts.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on, each piece after this time.
    Pass(Duration),
    /// Takes connections and everything on them, and passes nothing on until it is changed.
    Freeze,
    /// Ends all connections, and new ones at once.
    Cut,
}

/// A proxy that ends with the test.
pub struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    /// How many connections are open.
    open: watch::Sender<usize>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    upstream: u16,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub async fn start(upstream: u16, mode: Mode) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (state, watched) = watch::channel(State { mode, upstream });
        let open = watch::Sender::new(0);
        tokio::spawn(accept(listener, watched, open.clone()));
        Proxy { port, state, open }
    }

    /// The port to which the exporter connects.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Leads further connections to another port.
    pub fn lead_to(&self, upstream: u16) {
        self.state.send_modify(|state| state.upstream = upstream);
    }

    /// Ends all connections, and then leads further ones to another port.
    pub async fn exchange(&self, upstream: u16) {
        self.set(Mode::Cut);
        self.open.subscribe().wait_for(|open| *open == 0).await.expect("a proxy");
        self.lead_to(upstream);
        self.set(Mode::Pass(Duration::ZERO));
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>, open: watch::Sender<usize>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.expect("a connection");
                let (state, open) = (state.clone(), open.clone());
                open.send_modify(|open| *open += 1);
                tokio::spawn(async move {
                    connect(client, state).await;
                    open.send_modify(|open| *open -= 1);
                });
            }
            () = gone(state.clone()) => return,
        }
    }
}

async fn gone(mut state: watch::Receiver<State>) {
    while state.changed().await.is_ok() {}
}

async fn connect(client: TcpStream, mut state: watch::Receiver<State>) {
    let State { mode, upstream } = *state.borrow_and_update();
    if mode == Mode::Cut {
        return;
    }
    let address = SocketAddr::from(([127, 0, 0, 1], upstream));
    let Ok(server) = TcpStream::connect(address).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, state.clone()) => {}
        () = copy(from_server, to_client, state.clone()) => {}
        _ = state.wait_for(|state| state.mode == Mode::Cut) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut piece = vec![0; 64 << 10];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece).await else { return };
        let thawed = state.wait_for(|state| state.mode != Mode::Freeze).await;
        let Ok(mode) = thawed.map(|state| state.mode) else { return };
        if let Mode::Pass(delay) = mode
            && !delay.is_zero()
        {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
