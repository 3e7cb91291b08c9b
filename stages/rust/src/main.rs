//! Serves one stage of a workload until it is stopped.

mod contract;
mod events;
mod exact;
mod items;
mod serve;
mod stage;

#[cfg(test)]
mod golden;

use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use prost::{Message, Name};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::RoutesBuilder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

use contract::ingest_server::IngestServer;
use contract::sink_server::SinkServer;
use contract::stage_server::StageServer;
use serve::folders::Folders;
use serve::ingest::{Source, said};
use serve::sink::Results;
use serve::transform::Transform;
use stage::{Accumulator, Function};

/// How long open streams may go on once the server is asked to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How long calls that are cut off have to remove their drafts.
const CUT_OFF: Duration = Duration::from_secs(1);

/// Serve one stage of a workload over gRPC until SIGTERM.
#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    stage: StageName,
    #[arg(long)]
    workload: WorkloadName,
    /// HOST:PORT or unix:PATH; port 0 takes a free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: String,
    /// Folder in which ingest may read and the sink may write. Repeatable.
    #[arg(long = "folder")]
    folders: Vec<PathBuf>,
    /// Let ingest read standard input as "-".
    #[arg(long)]
    stdin: bool,
    /// Descriptor of a pipe; at its end the parent is gone, and the server stops.
    #[arg(long, hide = true)]
    lifeline: Option<RawFd>,
}

#[derive(Clone, Copy, ValueEnum)]
enum StageName {
    Ingest,
    Parse,
    Rules,
    Aggregate,
    Sink,
}

#[derive(Clone, Copy, ValueEnum)]
enum WorkloadName {
    Events,
    WorkItems,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.exit_code() == 0 => {
            print!("{error}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            // What is wrong, without the usage below it.
            let text = error.to_string();
            let lines: Vec<_> = text
                .lines()
                .map(str::trim)
                .take_while(|line| !line.is_empty())
                .collect();
            return fail(2, lines.join(" ").trim_start_matches("error: "));
        }
    };
    if let (StageName::Ingest, WorkloadName::WorkItems) = (arguments.stage, arguments.workload) {
        return fail(
            2,
            "ingest of work-items is in Python only: its generator is numpy's",
        );
    }
    // Two at least, so that health is answered while a stage function runs.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .enable_all()
        .build();
    let ended = built.and_then(|runtime| {
        let ended = runtime.block_on(run(&arguments));
        // A stage function that still runs would hold up the end.
        runtime.shutdown_timeout(CUT_OFF);
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(
            1,
            &format!("can't serve at {}: {}", arguments.bind, said(&error)),
        ),
    }
}

fn fail(code: u8, why: &str) -> ExitCode {
    eprintln!("pipeline-stage: {why}");
    ExitCode::from(code)
}

async fn run(arguments: &Arguments) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let orphaned = orphaned(arguments.lifeline);
    let folders = Folders::new(&arguments.folders, arguments.stdin)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let mut routes = RoutesBuilder::default();
    let name = add_stage(&mut routes, arguments, folders);
    routes.add_service(health_service);
    add_reflection(&mut routes, name)?;
    for served in ["", name] {
        health
            .set_service_status(served, ServingStatus::Serving)
            .await;
    }

    let (stop, mut stopped) = watch::channel(false);
    let stopping = async move {
        // An error means that the sender is gone, which is as good as a stop.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let router = Server::builder().add_routes(routes.routes());
    let bound = Bound::at(&arguments.bind).await?;
    announce(arguments, &bound.address()?);
    let serving = async {
        match bound {
            Bound::Tcp(listener) => {
                // Nagle's algorithm would hold replies back for 40 ms.
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                router
                    .serve_with_incoming_shutdown(incoming, stopping)
                    .await
            }
            Bound::Unix(listener, _socket) => {
                let incoming = UnixListenerStream::new(listener);
                router
                    .serve_with_incoming_shutdown(incoming, stopping)
                    .await
            }
        }
    };
    let draining = async {
        next(&mut terminate, &mut interrupt).await;
        for served in ["", name] {
            health
                .set_service_status(served, ServingStatus::NotServing)
                .await;
        }
        let _ = stop.send(true);
        tokio::select! {
            () = next(&mut terminate, &mut interrupt) => {}
            () = tokio::time::sleep(DRAIN) => {}
        }
    };
    tokio::select! {
        ended = serving => ended.map_err(io::Error::other),
        () = draining => Ok(()),
        () = orphaned => Err(io::Error::other("the process that started it is gone")),
    }
}

/// Waits for a signal that asks the server to stop.
async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Adds the service of the stage, and returns its name.
fn add_stage(routes: &mut RoutesBuilder, arguments: &Arguments, folders: Folders) -> &'static str {
    use StageName::{Aggregate, Ingest, Parse, Rules, Sink};
    use WorkloadName::{Events, WorkItems};

    match (arguments.stage, arguments.workload) {
        (Ingest, _) => {
            // Batches may be of any size.
            let server =
                IngestServer::new(Source { folders }).max_encoding_message_size(usize::MAX);
            routes.add_service(server);
            contract::ingest_server::SERVICE_NAME
        }
        (Parse, Events) => add_transform(routes, events::parse),
        (Rules, Events) => add_transform(routes, events::rules),
        (Aggregate, Events) => add_transform(routes, events::aggregate),
        (Parse, WorkItems) => add_transform(routes, items::parse),
        (Rules, WorkItems) => add_transform(routes, items::rules),
        (Aggregate, WorkItems) => add_transform(routes, items::aggregate),
        (Sink, Events) => add_sink::<events::EventTotals>(routes, folders),
        (Sink, WorkItems) => add_sink::<items::ItemScores>(routes, folders),
    }
}

fn add_transform<In, Out>(routes: &mut RoutesBuilder, function: Function<In, Out>) -> &'static str
where
    In: Message + Name + Default + 'static,
    Out: Message + Name + 'static,
{
    let server = StageServer::new(Transform(function))
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    routes.add_service(server);
    contract::stage_server::SERVICE_NAME
}

fn add_sink<A: Accumulator + 'static>(
    routes: &mut RoutesBuilder,
    folders: Folders,
) -> &'static str {
    let results = Results::<A> {
        folders,
        accumulator: PhantomData,
    };
    routes.add_service(SinkServer::new(results).max_decoding_message_size(usize::MAX));
    contract::sink_server::SERVICE_NAME
}

fn add_reflection(routes: &mut RoutesBuilder, name: &str) -> io::Result<()> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(contract::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(name)
            .with_service_name("grpc.health.v1.Health")
    };
    routes.add_service(builder().build_v1().map_err(io::Error::other)?);
    routes.add_service(builder().build_v1alpha().map_err(io::Error::other)?);
    Ok(())
}

/// A listening socket.
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix socket, which is removed at the end.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Bound {
    async fn at(address: &str) -> io::Result<Self> {
        let Some(path) = address.strip_prefix("unix:") else {
            return Ok(Self::Tcp(TcpListener::bind(address).await?));
        };
        if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
            match UnixStream::connect(path).await {
                // Nobody listens: a server that has died has left the socket behind.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                }
                _ => return Err(io::Error::other("another server is listening there")),
            }
        }
        Ok(Self::Unix(
            UnixListener::bind(path)?,
            SocketFile(path.into()),
        ))
    }

    fn address(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Ok(listener.local_addr()?.to_string()),
            Self::Unix(_, SocketFile(path)) => Ok(format!("unix:{}", path.display())),
        }
    }
}

/// Prints the start-up handshake.
fn announce(arguments: &Arguments, address: &str) {
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map(|value| value.get_name().to_owned())
    };
    let handshake = serde_json::json!({
        "stage": name(arguments.stage.to_possible_value()),
        "workload": name(arguments.workload.to_possible_value()),
        "address": address,
        "pid": std::process::id(),
    });
    println!("{handshake}");
}

/// Waits for the end of a pipe, whose other end the parent holds; for ever if there is none.
async fn orphaned(lifeline: Option<RawFd>) {
    let Some(descriptor) = lifeline else {
        return std::future::pending().await;
    };
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        // SAFETY: the parent has passed this descriptor for us alone.
        let mut pipe = unsafe { File::from_raw_fd(descriptor) };
        let _ = pipe.read(&mut [0]);
        let _ = ended.send(());
    });
    // An error means that the thread is gone, which is as good as the end.
    let _ = end.await;
}
