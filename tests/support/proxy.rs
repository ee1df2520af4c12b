//! Proxies that lead every request to one server, whatever its name.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

pub struct Proxy {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Speaks HTTP `CONNECT`.
    pub async fn http(to: SocketAddr) -> Self {
        Self::start(to, false).await
    }

    /// Speaks SOCKS 5 without passwords.
    pub async fn socks(to: SocketAddr) -> Self {
        Self::start(to, true).await
    }

    async fn start(to: SocketAddr, socks: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&proxy.asked);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let asked = Arc::clone(&asked);
                tokio::spawn(async move {
                    let target = if socks { socks_target(&mut client).await } else { connect_target(&mut client).await };
                    asked.lock().unwrap().push(target);
                    let mut server = TcpStream::connect(to).await.unwrap();
                    // Ends with an error when one side hangs up; both are then gone.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        proxy
    }

    /// The targets it was asked for, `HOST:PORT`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn connect_target(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let head = String::from_utf8(head).unwrap();
    head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned()
}

async fn socks_target(client: &mut TcpStream) -> String {
    let mut hello = [0; 2];
    client.read_exact(&mut hello).await.unwrap();
    let mut methods = vec![0; hello[1].into()];
    client.read_exact(&mut methods).await.unwrap();
    client.write_all(&[5, 0]).await.unwrap();
    let mut request = [0; 5];
    client.read_exact(&mut request).await.unwrap();
    assert_eq!(request[..4], [5, 1, 0, 3], "the name is left to the proxy");
    let mut name = vec![0; request[4].into()];
    client.read_exact(&mut name).await.unwrap();
    let port = client.read_u16().await.unwrap();
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    format!("{}:{port}", String::from_utf8(name).unwrap())
}
