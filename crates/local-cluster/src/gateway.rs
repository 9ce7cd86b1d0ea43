//! The way from pods to the host's loopback: the node's address stands for the host, and connections
//! to it leave the node's network through a Unix socket.

use std::{io, net::Ipv4Addr, path::PathBuf};

use prefect_e2e_sandbox::network::GATEWAY;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// On the node: takes connections of pods to `port` and passes them to the host's end at `socket`.
pub(crate) async fn listen(port: u16, socket: PathBuf) -> io::Result<()> {
    let listener = TcpListener::bind((GATEWAY, port)).await?;
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut outside = UnixStream::connect(&socket).await?;
                tokio::io::copy_bidirectional(&mut inside, &mut outside).await
            });
        }
    });
    Ok(())
}

/// On the host: passes connections that come through the socket to `port` of the loopback.
pub(crate) async fn forward(listener: UnixListener, port: u16) {
    while let Ok((mut inside, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut outside = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            tokio::io::copy_bidirectional(&mut inside, &mut outside).await
        });
    }
}
