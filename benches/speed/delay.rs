//! A TCP relay that makes a far API server of a near one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// A relay on loopback; takes no more connections when dropped.
pub struct Relay {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// Relays to `upstream` with half of `round_trip` in each direction. A new connection costs a whole round trip
    /// before its first byte, as TCP's handshake does on a real path.
    pub async fn start(upstream: String, round_trip: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(relay(client, upstream.clone(), round_trip));
            }
        });
        Ok(Self { address, connections, task })
    }

    /// Connections since the last call.
    pub fn take_connections(&self) -> usize {
        self.connections.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(client: TcpStream, upstream: String, round_trip: Duration) {
    let ready = Instant::now() + round_trip;
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    // Without this, small writes wait for each other and the relay measures the kernel.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::join!(
        carry(client_read, server_write, round_trip / 2, ready),
        carry(server_read, client_write, round_trip / 2, ready)
    );
}

/// Carries bytes one way, each piece `delay` after it came, none before `ready`.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration, ready: Instant) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let read = async move {
        loop {
            let mut piece = vec![0; 64 * 1024];
            let Ok(length @ 1..) = from.read(&mut piece).await else { break };
            piece.truncate(length);
            let due = Instant::now().max(ready) + delay;
            if sender.send((due, piece)).await.is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            // A timer counts whole milliseconds: where there is no delay there must be no timer.
            if due > Instant::now() {
                sleep_until(due).await;
            }
            if to.write_all(&piece).await.is_err() {
                break;
            }
        }
        // The other side may already be gone: then there is nobody to tell.
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
