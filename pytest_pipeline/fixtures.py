"""The fixtures. They import what they need when a test first asks for one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_pipeline.options import (
    Hosting,
    PipelineSettings,
    Transport,
    settings_of,
    with_values,
)

if TYPE_CHECKING:
    import grpc
    from pytest_benchmark.fixture import BenchmarkFixture

    from pipeline.batching import BatchSize
    from pipeline.workload import Workload
    from pytest_pipeline.measure.comparison import Comparer
    from pytest_pipeline.measure.results import Measured, Record
    from pytest_pipeline.servers.driver import StageDriver
    from pytest_pipeline.servers.fake_clock import FakeClock
    from pytest_pipeline.servers.handle import Server
    from pytest_pipeline.servers.pool import ServerPool
    from pytest_pipeline.servers.runs import PipelineRunner
    from pytest_pipeline.servers.workspace import Certificates

#: The servers of a session; set when a test first asks for one.
POOL: pytest.StashKey[ServerPool] = pytest.StashKey()
#: The measurements of a session by the name of the test.
MEASURED: pytest.StashKey[dict[str, Measured]] = pytest.StashKey()

_LAST_SEED = 2**31 - 1

Scope = Literal["session", "package", "module", "class", "function"]


class StageServerFactory:
    """Starts servers and ends them together; the fixture ``stage_server`` is one.

    Example::

        def test_it(stage_server):
            greeter = stage_server(
                Greeter(), add_to_server=add_GreeterServicer_to_server
            )
            assert greeter.stub.Greet(name("you")).value == "hello you"
    """

    def __init__(self, pool: ServerPool, settings: PipelineSettings) -> None:
        self._pool = pool
        self._settings = settings
        self._started: list[Server] = []

    def __call__(
        self,
        what: Any,
        *,
        name: str | None = None,
        workload: str | None = None,
        add_to_server: Callable[[Any, Any], object] | None = None,
        stub: Callable[[Any], Any] | None = None,
        servers: Hosting | None = None,
        transport: Transport | None = None,
        start_timeout: float | None = None,
        tls_root: str | None = None,
        aio: bool | None = None,
        options: Iterable[tuple[str, Any]] = (),
        interceptors: Iterable[Any] = (),
        max_workers: int | None = None,
        compression: grpc.Compression | None = None,
        credentials: grpc.ServerCredentials | None = None,
        channel_options: Iterable[tuple[str, Any]] = (),
        channel_credentials: grpc.ChannelCredentials | None = None,
        call_credentials: grpc.CallCredentials | None = None,
        metadata: Iterable[tuple[str, str | bytes]] = (),
        health_check: bool = True,
    ) -> Server:
        """Start a server and return its handle.

        A servicer is served with gRPC's defaults, on its server and on channels to it.
        ``workload``, ``servers``, ``transport``, ``start_timeout`` and ``tls_root``
        default to the settings of the test.

        Args:
            what: The name of a stage of ``workload``; a `pipeline.Stage`; an
                instance of any gRPC servicer, thread-based or asyncio; a class or a
                function without arguments that makes one; a command, as text or as a
                list of words; or the address of a running server.
            name: The name of the server in errors and reports.
            workload: The workload of a stage that is given by its name.
            add_to_server: The generated function that adds a servicer to a server, or
                a function of yours that adds several services.
            stub: Makes the client of the service from a channel. By default it is the
                stub generated beside ``add_to_server``, or the one of a stage.
            servers: ``inprocess`` or ``subprocess``.
            transport: ``unix``, ``tcp``, ``tls``, or ``mtls`` for mutual TLS.
            start_timeout: Seconds that the server has to become ready.
            tls_root: Under TLS, a PEM file of root certificates to trust as well.
            aio: Whether grpc.aio serves the servicer, whose factory is then called in
                the event loop. By default, it does if an RPC is a coroutine function
                or an asynchronous generator, or if the factory needs a running loop.
            options: Channel arguments of gRPC for the server.
            interceptors: Server interceptors, for threads or for asyncio as the
                servicer is.
            max_workers: Number of threads for RPCs; 64 by default.
            compression: Compression of replies.
            credentials: Credentials of the server, in place of the session's. It then
                listens on TCP, unless ``transport`` says otherwise.
            channel_options: Channel arguments of gRPC for channels to the server.
            channel_credentials: Credentials of channels to the server.
            call_credentials: Added to the credentials of channels, under TLS.
            metadata: Sent with every call on channels to the server.
            health_check: Whether a command or an address is ready when its health
                service says so. Otherwise it is when it accepts a connection.

        Raises:
            UsageError: ``what`` is something else, or can't be served like this.
            StageError: The server did not start.
        """
        __tracebackhide__ = True
        from pytest_pipeline.servers.arguments import (
            ChannelArguments,
            ServerArguments,
            max_workers_of,
            metadata_of,
            options_of,
        )
        from pytest_pipeline.servers.specification import server_spec

        settings = with_values(
            self._settings,
            "stage_server",
            workload=workload,
            servers=servers,
            # gRPC does not verify the name of a certificate over unix sockets.
            transport=transport or ("tcp" if credentials is not None else None),
            start_timeout=start_timeout,
            tls_root=tls_root,
        )
        server = self._pool.start(
            server_spec(
                settings,
                what,
                name=name,
                add_to_server=add_to_server,
                stub=stub,
                aio=aio,
                server=ServerArguments(
                    options_of("options", options),
                    tuple(interceptors),
                    max_workers_of(max_workers),
                    compression,
                    credentials,
                ),
                channel=ChannelArguments(
                    options_of("channel_options", channel_options),
                    metadata_of(metadata),
                    channel_credentials,
                    call_credentials,
                ),
                health_check=health_check,
            )
        )
        self._started.append(server)
        return server

    def close(self) -> None:
        """End the servers, the last one first."""
        for server in reversed(self._started):
            self._pool.release(server)


@pytest.fixture(scope="session")
def pipeline_settings(request: pytest.FixtureRequest) -> PipelineSettings:
    """The settings of the test: options, ini file and its ``pipeline`` marker."""
    settings: PipelineSettings = getattr(request, "param", settings_of(request.config))
    return settings


@pytest.fixture(scope="session")
def pipeline_workload(
    request: pytest.FixtureRequest, pipeline_settings: PipelineSettings
) -> Workload:
    """The workload; the test runs once for each of --pipeline-workload."""
    from pipeline.workloads import workload_named

    return workload_named(getattr(request, "param", pipeline_settings.workload[0]))


@pytest.fixture(scope="session")
def pipeline_batch_size(
    request: pytest.FixtureRequest, pipeline_settings: PipelineSettings
) -> BatchSize:
    """Records in a batch, or "auto"; once for each of --pipeline-batch-sizes."""
    size: BatchSize = getattr(request, "param", pipeline_settings.batch_sizes[0])
    return size


@pytest.fixture(scope="session")
def pipeline_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerPool]:
    """The pool of this session's servers, in which the other fixtures start theirs."""
    _need("psutil", "stage servers")
    from pytest_pipeline.servers.pool import ServerPool

    pool = ServerPool(tmp_path_factory.getbasetemp())
    request.config.stash[POOL] = pool
    yield pool
    del request.config.stash[POOL]
    pool.close()


@pytest.fixture(scope="session")
def pipeline_certificates(pipeline_servers: ServerPool) -> Certificates:
    """PEM files of this session's TLS, for clients that read files.

    They are the attributes ``root``, ``certificate`` and ``key``.
    """
    return pipeline_servers.certificates


@pytest.fixture(scope="session")
def pipeline_stages(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
) -> Mapping[str, Server]:
    """Live servers of all stages of the workload, by name, in the order of a run."""
    from pytest_pipeline.servers.specification import stage_specs

    specs = stage_specs(pipeline_settings, pipeline_workload)
    return {server.name: server for server in pipeline_servers.shared(specs)}


def _stage_fixture(stage: str, docstring: str) -> Any:
    """Make the fixture of one stage of the workload."""

    def live(
        pipeline_servers: ServerPool,
        pipeline_settings: PipelineSettings,
        pipeline_workload: Workload,
    ) -> Server:
        from pytest_pipeline.servers.specification import stage_specs

        specs = stage_specs(pipeline_settings, pipeline_workload, [stage])
        return pipeline_servers.shared(specs)[0]

    live.__doc__ = docstring
    return pytest.fixture(scope="session", name=f"{stage}_stage")(live)


ingest_stage = _stage_fixture("ingest", "A live server of ingest.")
parse_stage = _stage_fixture("parse", "A live server of parse.")
rules_stage = _stage_fixture("rules", "A live server of rules.")
aggregate_stage = _stage_fixture("aggregate", "A live server of aggregate.")
sink_stage = _stage_fixture("sink", "A live server of the sink.")


@pytest.fixture(scope="session")
def run_pipeline(
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    pipeline_workload: Workload,
    pipeline_batch_size: BatchSize,
    tmp_path_factory: pytest.TempPathFactory,
) -> PipelineRunner:
    """Run the workload on live servers: ``run_pipeline(data).results``."""
    from pytest_pipeline.servers.runs import PipelineRunner
    from pytest_pipeline.servers.specification import stage_specs

    return PipelineRunner(
        pipeline_workload,
        pipeline_batch_size,
        pipeline_settings.events,
        tmp_path_factory.getbasetemp(),
        lambda replicas: pipeline_servers.shared(
            stage_specs(pipeline_settings, pipeline_workload, replicas=replicas)
        ),
    )


@pytest.fixture
def stage_server(
    pipeline_servers: ServerPool, pipeline_settings: PipelineSettings
) -> Iterator[StageServerFactory]:
    """Start a server of your own for this test: ``stage_server(Greeter(), ...)``."""
    with closing(StageServerFactory(pipeline_servers, pipeline_settings)) as factory:
        yield factory


@pytest.fixture
def fault_seed(
    request: pytest.FixtureRequest, pipeline_settings: PipelineSettings
) -> int:
    """A seed for ``draw_fault``; a test that fails prints the option to repeat it."""
    # A plugin may have seeded the generator of the module random.
    drawn = random.SystemRandom().randint(1, _LAST_SEED)
    seed = pipeline_settings.fault_seed or drawn
    request.node.add_report_section(
        "setup", "fault seed", f"repeat with --pipeline-fault-seed {seed}"
    )
    return seed


@pytest.fixture
def stage_driver() -> Iterator[Callable[..., StageDriver]]:
    """Drive a stage without a socket, message by message, under a fake clock."""
    _need("grpc_testing", "stage_driver")
    from contextlib import ExitStack

    from pytest_pipeline.servers.driver import StageDriver
    from pytest_pipeline.servers.fake_clock import FakeClock

    with ExitStack() as stack:

        def drive(
            stage: Any, clock: FakeClock | None = None, **settings: Any
        ) -> StageDriver:
            driver = StageDriver(stage, clock or FakeClock(), **settings)
            return stack.enter_context(driver)

        yield drive


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that moves only when it is told to, for ``stage_driver``."""
    from pytest_pipeline.servers.fake_clock import FakeClock

    return FakeClock()


@pytest.fixture
def pipeline_record(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture
) -> Iterator[Record]:
    """Record what this test measured, for pytest-benchmark's JSON and the report."""
    from pytest_pipeline.measure.results import Record, to_extra_info

    record = Record()
    yield record
    if record.measured is not None:
        benchmark.extra_info |= to_extra_info(record.measured)
        name = request.node.nodeid.rpartition("::")[2]
        request.config.stash[MEASURED][name] = record.measured


@pytest.fixture
def pipeline_compare(benchmark: BenchmarkFixture, pipeline_record: Record) -> Comparer:
    """Compare two callables: ``compare(a, b).faster_than(b, by=3.0)``."""
    _need("scipy", "pipeline_compare")
    from pytest_pipeline.measure.comparison import Answer, Comparer

    def answering(find: Callable[[], Answer]) -> Answer:
        if benchmark.disabled:
            pytest.skip(
                "a comparison takes time, and benchmarks are disabled here "
                "(--benchmark-disable, or xdist)"
            )
        # Run by pytest-benchmark, the test counts as a benchmark, and no tracing slows
        # it down. That takes one function a test; later comparisons run without it.
        answer: Answer = benchmark.pedantic(find) if benchmark.stats is None else find()
        pipeline_record.answered(answer.compared)
        return answer

    # The settings of pytest-benchmark have no public names in the fixture.
    return Comparer(
        timer=benchmark._timer,  # noqa: SLF001
        disable_gc=benchmark._disable_gc,  # noqa: SLF001
        warmup=int(benchmark._warmup or 0),  # noqa: SLF001
        answering=answering,
    )


def stage_fixture(what: Any, *, scope: Scope = "session", **settings: Any) -> Any:
    """Make a fixture of a server of your own.

    The server stays up for ``scope`` and is brought back for each test. If ``what`` is
    the class of a servicer or a function that makes one, each test gets a new one::

        greeter = stage_fixture(Greeter, add_to_server=add_GreeterServicer_to_server)

    Args:
        what: A stage, servicer, command or address, or what makes a servicer; see
            `StageServerFactory`.
        scope: The scope of the fixture.
        **settings: Arguments of `StageServerFactory`, such as ``servers``.

    Returns:
        A fixture, to be assigned to its name in a test module or ``conftest.py``.
    """

    @pytest.fixture(scope=scope)
    def stage(
        request: pytest.FixtureRequest,
        pipeline_servers: ServerPool,
        pipeline_settings: PipelineSettings,
    ) -> Iterator[Server]:
        with closing(
            StageServerFactory(pipeline_servers, pipeline_settings)
        ) as factory:
            server = factory(what, **settings)
            server.fixture = request.fixturename or ""
            yield server

    return stage


def _need(module: str, what: str) -> None:
    """Raise pytest.UsageError if a module of the ``test`` extra is not installed."""
    if find_spec(module) is None:
        raise pytest.UsageError(
            f"{what}: needs {module}; pip install 'pytest-grpc-pipeline[test]'"
        )
