//! A channel that is written and read at once, for as long as the command runs.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{Arrival, CLOSE, Channel, STDIN, stdin, understood};

/// Load balancers cut connections on which nothing moves; many do so after a minute.
const PING: Duration = Duration::from_secs(20);

/// Input waits here until the connection takes it, so that neither side can block the other.
pub(in crate::api) struct Duplex {
    channel: Channel,
    outbox: VecDeque<Message>,
    unflushed: bool,
}

impl Duplex {
    pub(in crate::api) fn new(channel: Channel) -> Self {
        Self { channel, outbox: VecDeque::new(), unflushed: false }
    }

    /// Sends `bytes` as stdin while [`Self::next`] is waited for.
    pub(in crate::api) fn send(&mut self, bytes: &[u8]) {
        self.outbox.extend(stdin(bytes));
    }

    /// Ends stdin, where the protocol can.
    pub(in crate::api) fn end_stdin(&mut self) {
        self.outbox.extend(self.channel.can_end_stdin.then(|| Message::binary(vec![CLOSE, STDIN])));
    }

    /// The next thing that arrives; `Err`: the connection ended, and how. Nothing is lost if it is not waited for to the end.
    pub(in crate::api) async fn next(&mut self) -> Result<Arrival, String> {
        loop {
            let message = tokio::time::timeout(PING, poll_fn(|context| self.poll(context))).await;
            match message.map(understood) {
                Err(_) => self.outbox.push_back(Message::Ping(Bytes::new())),
                Ok(Ok(None)) => {}
                Ok(Ok(Some(arrival))) => return Ok(arrival),
                Ok(Err(how)) => return Err(how),
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, tokio_tungstenite::tungstenite::Error>>> {
        let socket = &mut self.channel.socket;
        while !self.outbox.is_empty() {
            match socket.poll_ready_unpin(context) {
                Poll::Pending => break,
                // A failed send shows on the reading side, which may still hold the reason.
                Poll::Ready(Err(_)) => self.outbox.clear(),
                Poll::Ready(Ok(())) => {
                    let sent = self.outbox.pop_front().map(|message| socket.start_send_unpin(message));
                    self.unflushed = sent.is_some_and(|sent| sent.is_ok());
                }
            }
        }
        if self.unflushed && socket.poll_flush_unpin(context).is_ready() {
            self.unflushed = false;
        }
        socket.poll_next_unpin(context)
    }
}
