//! Messages to subjects, and from those that are names of pipes.

use async_nats::client::PublishErrorKind;
use async_nats::{Client, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;

/// What comes of listening to a name.
pub enum Said {
    /// From now on it is heard.
    Listening,
    /// Something was said there.
    Message(Message),
}

/// A frame on its way out.
pub struct Outbound {
    /// Where to.
    pub subject: Subject,
    /// Where the answer goes.
    pub answer: Option<Subject>,
    /// The frame.
    pub frame: Bytes,
}

/// Publishes; false: the connection has ended for good. Dropped before it is done, nothing was published.
pub async fn publish(client: &Client, Outbound { subject, answer, frame }: &Outbound) -> bool {
    let published = match answer {
        None => client.publish(subject.clone(), frame.clone()).await,
        Some(answer) => client.publish_with_reply(subject.clone(), answer.clone(), frame.clone()).await,
    };
    // A frame that the server does not take counts as lost on the way.
    !matches!(published, Err(error) if error.kind() == PublishErrorKind::Send)
}

/// Listens to a name.
pub async fn listen(client: Client, subject: Subject, id: u64, say: Sender<(u64, Said)>) {
    // A client that is gone ends the service, too.
    let Ok(mut subscriber) = client.subscribe(subject).await else { return };
    let _ = say.send((id, Said::Listening)).await;
    while let Some(message) = subscriber.next().await {
        if say.send((id, Said::Message(message))).await.is_err() {
            return;
        }
    }
}
