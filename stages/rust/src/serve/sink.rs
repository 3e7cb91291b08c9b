//! Serves the end of a run: `Sink.Write` of the contract.

use std::marker::PhantomData;

use tonic::{Code, Request, Response, Status, Streaming};

use super::draft::Draft;
use super::folders::Folders;
use super::ingest::said;
use super::payload::{failed, unpack};
use super::timing::{Meter, ThreadClock, peak_rss_bytes};
use crate::contract::sink_server::Sink;
use crate::contract::write_request::Step;
use crate::contract::{Commit, Timing, WriteRequest, WriteSummary};
use crate::stage::Accumulator;

pub struct Results<A> {
    pub folders: Folders,
    pub accumulator: PhantomData<fn() -> A>,
}

#[tonic::async_trait]
impl<A: Accumulator + 'static> Sink for Results<A> {
    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteSummary>, Status> {
        let mut steps = request.into_inner();
        let mut meter = Meter::new();
        let Some(Step::Target(target)) = steps.message().await?.and_then(|first| first.step) else {
            return Err(Status::invalid_argument("takes a target first"));
        };
        let path = &target.path;
        let located = self.folders.locate(path).ok_or_else(|| {
            Status::failed_precondition(format!(
                "can't write {path}: it is outside the folders that the sink serves"
            ))
        })?;
        let cannot_write = |error: std::io::Error| {
            Status::failed_precondition(format!("can't write {path}: {}", said(&error)))
        };
        let mut draft = Draft::new(located).map_err(cannot_write)?;
        let mut result = A::default();
        let mut account = Timing::default();
        let mut batches = 0;
        while let Some(request) = steps.message().await? {
            account.wait_ns += meter.lap();
            match request.step {
                Some(Step::Batch(batch)) if batch.number == batches => {
                    // Folding may take long, and health must be answered meanwhile.
                    tokio::task::block_in_place(|| {
                        let mut cpu = ThreadClock::new();
                        let payload = unpack(batch.payload.as_ref())
                            .map_err(|why| failed(Code::InvalidArgument, &batch, &why))?;
                        account.decode_ns += meter.lap();
                        account.decode_cpu_ns += cpu.lap();
                        let lines = result
                            .add(payload)
                            .map_err(|why| failed(Code::Internal, &batch, &why))?;
                        draft.write(&lines).map_err(cannot_write)?;
                        account.process_ns += meter.lap();
                        account.process_cpu_ns += cpu.lap();
                        Ok::<_, Status>(())
                    })?;
                    batches += 1;
                }
                Some(Step::Commit(commit)) => {
                    check(commit, batches, result.records())?;
                    let rest = result.finish().map_err(Status::internal)?;
                    draft.write(&rest).map_err(cannot_write)?;
                    let result_bytes = draft.size;
                    tokio::task::block_in_place(|| draft.publish()).map_err(cannot_write)?;
                    account.process_ns += meter.lap();
                    account.process_total_cpu_ns = meter.process_lap();
                    account.peak_rss_bytes = peak_rss_bytes();
                    return Ok(Response::new(WriteSummary {
                        batches,
                        records: result.records(),
                        result_bytes,
                        timing: Some(account),
                    }));
                }
                other => {
                    let sent = match other {
                        Some(Step::Batch(batch)) => format!("batch {}", batch.number),
                        Some(Step::Target(_)) => "target".into(),
                        _ => "no step".into(),
                    };
                    return Err(Status::invalid_argument(format!(
                        "takes batch {batches} next, was sent {sent}"
                    )));
                }
            }
        }
        Err(Status::invalid_argument(
            "was sent no commit, so nothing was published",
        ))
    }
}

fn check(commit: Commit, batches: u64, records: u64) -> Result<(), Status> {
    if (commit.batches, commit.records) == (batches, records) {
        return Ok(());
    }
    Err(Status::data_loss(format!(
        "{} records in {} batches were passed on, but the result counts {records} in {batches}; \
         nothing was published",
        commit.records, commit.batches
    )))
}
