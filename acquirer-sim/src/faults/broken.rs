//! Bodies that fail, at once or after some bytes: hyper gives the connection up.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

/// A body that fails after what it has.
pub(super) struct Broken {
    first: Option<Bytes>,
    /// The bytes are given time to leave before the connection closes.
    pause: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Broken {
    /// Fails before its first byte.
    pub(super) fn at_once() -> Self {
        Self {
            first: None,
            pause: Box::pin(std::future::ready(())),
        }
    }

    /// Fails after these bytes were flushed.
    pub(super) fn after(bytes: Bytes) -> Self {
        Self {
            first: Some(bytes),
            pause: Box::pin(tokio::time::sleep(std::time::Duration::from_millis(20))),
        }
    }
}

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        if let Some(bytes) = self.first.take() {
            return Poll::Ready(Some(Ok(http_body::Frame::data(bytes))));
        }
        self.pause
            .as_mut()
            .poll(context)
            .map(|()| Some(Err(std::io::ErrorKind::ConnectionAborted.into())))
    }
}
