//! Serves a transform stage: `Stage.Process` of the contract.

use std::panic::catch_unwind;

use prost::{Message, Name};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::payload::{failed, pack, unpack};
use super::timing::{Meter, ThreadClock};
use crate::contract::stage_server::Stage;
use crate::contract::{Batch, Timing};
use crate::stage::Function;

pub struct Transform<In, Out>(pub Function<In, Out>);

#[tonic::async_trait]
impl<In, Out> Stage for Transform<In, Out>
where
    In: Message + Name + Default + 'static,
    Out: Message + Name + 'static,
{
    type ProcessStream = ReceiverStream<Result<Batch, Status>>;

    async fn process(
        &self,
        request: Request<Streaming<Batch>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        // One reply waits to be sent, so a client that does not read is soon not read from.
        let (replies, stream) = mpsc::channel(1);
        tokio::spawn(answer_all(self.0, request.into_inner(), replies));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Answers each batch with one batch of the same number, until the call ends.
async fn answer_all<In, Out>(
    function: Function<In, Out>,
    mut requests: Streaming<Batch>,
    replies: mpsc::Sender<Result<Batch, Status>>,
) where
    In: Message + Name + Default,
    Out: Message + Name,
{
    let mut meter = Meter::new();
    let mut send_ns = 0;
    let end = loop {
        let request = match requests.message().await {
            Ok(Some(request)) => request,
            Ok(None) => break meter.end(send_ns),
            Err(status) => break status,
        };
        let timing = Timing {
            wait_ns: meter.lap(),
            send_ns,
            ..Timing::default()
        };
        // A stage function may take long, and health must be answered meanwhile.
        let answered =
            tokio::task::block_in_place(|| answer(function, &request, &mut meter, timing));
        let is_failure = answered.is_err();
        if replies.send(answered).await.is_err() || is_failure {
            return;
        }
        send_ns = meter.lap();
    };
    // If nobody reads any more, the call was cancelled.
    let _ = replies.send(Err(end)).await;
}

fn answer<In, Out>(
    function: Function<In, Out>,
    request: &Batch,
    meter: &mut Meter,
    mut timing: Timing,
) -> Result<Batch, Status>
where
    In: Message + Name + Default,
    Out: Message + Name,
{
    let mut cpu = ThreadClock::new();
    let message = unpack(request.payload.as_ref())
        .map_err(|why| failed(Code::InvalidArgument, request, &why))?;
    (timing.decode_ns, timing.decode_cpu_ns) = (meter.lap(), cpu.lap());
    // A panic fails the call and not the server.
    let output = catch_unwind(std::panic::AssertUnwindSafe(|| function(message)))
        .unwrap_or_else(|_| Err("the stage function panicked".into()))
        .map_err(|why| failed(Code::Internal, request, &why))?;
    (timing.process_ns, timing.process_cpu_ns) = (meter.lap(), cpu.lap());
    let mut reply = pack(request.number, output);
    (timing.encode_ns, timing.encode_cpu_ns) = (meter.lap(), cpu.lap());
    timing.process_total_cpu_ns = meter.process_lap();
    reply.timing = Some(timing);
    Ok(reply)
}
