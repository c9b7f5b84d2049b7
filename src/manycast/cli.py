"""The commands."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from manycast import __version__, device_lists
from manycast.app.app import App
from manycast.app.listening import StartError
from manycast.app.plan import Overrides, Plan, make_plan
from manycast.app.run import run
from manycast.config import ConfigurationError, LoadedConfiguration, describe, load
from manycast.config.schema.http import DEFAULT_CERT_FILE, DEFAULT_KEY_FILE
from manycast.config.schema.settings import Settings
from manycast.daemon import Daemon, DaemonError
from manycast.hub.source import SourceError
from manycast.logs import LogFileError, set_up_logging
from manycast.pid_file import PidFile, PidFileError
from manycast.self_signed import VALID_DAYS, CertificateFileError, make_certificate, own_names

EXIT_START = 1
EXIT_CONFIGURATION = 2

cli = typer.Typer(
    name="manycast",
    help="A media server: takes a stream in once and gives it to everyone, in whatever protocol they speak.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _complain(text: str, *, style: str = "red") -> None:
    # Imported here: a server that starts has no use for it.
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(text, style=style, markup=False)


class LogLevel(StrEnum):
    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    FATAL = "fatal"


class Listed(StrEnum):
    """What `-l` lists."""

    DEVICE = "device"
    VIDEODEVICE = "videodevice"
    AUDIODEVICE = "audiodevice"
    WINDOW = "window"


class DeviceKind(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"


ConfigOption = Annotated[
    list[Path] | None,
    typer.Option("-c", "--config", metavar="FILE", help="Configuration file; may be given once per dialect."),
]
MediaOption = Annotated[
    Path | None, typer.Option("--media", metavar="DIR", help="Folder whose media files are served.")
]
HostOption = Annotated[str | None, typer.Option("--host", metavar="ADDR", help="Address to listen on; default: all.")]
LogLevelOption = Annotated[LogLevel | None, typer.Option("--log-level", help="How much is logged.")]
LogFileOption = Annotated[Path | None, typer.Option("--log-file", metavar="F", help="Log into a file, with rotation.")]
DaemonOption = Annotated[bool, typer.Option("--daemon", metavar="", help="Run in the background.")]
PidFileOption = Annotated[
    Path | None, typer.Option("--pid-file", metavar="F", help="Where the process id is kept while it runs.")
]


def _port(flag: str, what: str) -> Any:
    return typer.Option(flag, min=0, max=65535, metavar="PORT", help=what)


RtspPortOption = Annotated[int | None, _port("--rtsp-port", "RTSP port; 0 switches RTSP off.")]
RtspsPortOption = Annotated[int | None, _port("--rtsps-port", "Port of RTSP in TLS; 0 switches it off.")]
HttpPortOption = Annotated[int | None, _port("--http-port", "HTTP port; 0 switches HTTP off.")]
HttpsPortOption = Annotated[int | None, _port("--https-port", "HTTPS port; 0 switches HTTPS off.")]
RtmpPortOption = Annotated[int | None, _port("--rtmp-port", "RTMP port; 0 switches RTMP off.")]
RtmpsPortOption = Annotated[int | None, _port("--rtmps-port", "Port of RTMP in TLS; 0 switches it off.")]
SrtPortOption = Annotated[int | None, _port("--srt-port", "SRT port (UDP); 0 switches SRT off.")]
OnvifPortOption = Annotated[
    int | None, _port("--onvif-port", "Port of ONVIF by HTTP, of the first device; 0 switches ONVIF off.")
]
OnvifHttpsPortOption = Annotated[
    int | None, _port("--onvif-https-port", "Port of ONVIF by HTTPS, of the first device; 0 switches that off.")
]
ListOption = Annotated[Listed | None, typer.Option("-l", help="List what can be captured, and end.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", metavar="", help="With sizes, rates and the system's own names.")
]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="For programs.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"manycast {__version__}")
        raise typer.Exit


@cli.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@cli.command()
def check(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Configuration files.")]) -> None:
    """Read configuration files and print what is understood; exit status 2 when something is wrong."""
    loaded = _load(files)
    for warning in loaded.warnings:
        _complain(f"warning: {warning}", style="yellow")
    print(describe(loaded.settings), end="")


@cli.command()
def cert(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Names and addresses it is for; default: those of this machine."),
    ] = None,
    cert_file: Annotated[
        Path, typer.Option("--cert-file", metavar="FILE", help="The certificate.")
    ] = DEFAULT_CERT_FILE,
    key_file: Annotated[Path, typer.Option(metavar="FILE", help="Its private key.")] = DEFAULT_KEY_FILE,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Write over files that are there.")] = False,
) -> None:
    """Make a self-signed certificate for HTTPS and RTSPS: for tests, and for clients who are told to trust it."""
    names = names or own_names()
    try:
        make_certificate(cert_file, key_file, names, force=force)
    except CertificateFileError as error:
        _complain(f"{error}.")
        raise typer.Exit(EXIT_START) from None
    print(f"{cert_file} and {key_file} are made, for {', '.join(names)}, good for {VALID_DAYS} days.")
    if (cert_file, key_file) == (DEFAULT_CERT_FILE, DEFAULT_KEY_FILE):
        print("Next: start the server in this folder, or with a configuration file in it; it takes them from there.")
    else:
        print("Next: name them in the configuration: https, cert_file and key_file.")
    print("RTSPS is off until it is switched on: rtsps, enable 1, or --rtsps-port 8322.")


@cli.command()
def devices(
    kind: Annotated[DeviceKind | None, typer.Argument(metavar="[video|audio]", help="Default: both.")] = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """List cameras and microphones, by the numbers and names that stand in addresses."""
    video, audio = kind is not DeviceKind.AUDIO, kind is not DeviceKind.VIDEO
    if as_json:
        print(device_lists.devices_json(video=video, audio=audio))
    else:
        _print_lines(lambda: device_lists.device_lines(video=video, audio=audio, verbose=verbose))


@cli.command()
def windows(verbose: VerboseOption = False, as_json: JsonOption = False) -> None:
    """List the titles of windows that can be shown."""
    _print_lines(lambda: [device_lists.windows_json()] if as_json else device_lists.window_lines(verbose=verbose))


def _print_lines(make_lines: Callable[[], Iterable[str]]) -> None:
    try:
        for line in make_lines():
            print(line)
    except SourceError as error:
        _complain(f"{error}.")
        raise typer.Exit(EXIT_START) from None


def main() -> None:
    """The command `manycast`."""
    cli()


def mediaserver() -> None:
    """The command `mediaserver`: the same program, under the name and with the options of its manual."""
    typer.run(_serving("mediaserver.cfg"))


def rtspserver() -> None:
    """The command `rtspserver`."""
    typer.run(_serving("rtspserver.cfg", "rtsp.cfg"))


def onvifrtspserver() -> None:
    """The command `onvifrtspserver`, which has a file for ONVIF and one for RTSP."""
    typer.run(_serving("onvif.cfg", "rtsp.cfg", all_of_them=True))


def _serving(*default_names: str, all_of_them: bool = False) -> Callable[..., None]:
    """The command that serves; without -c, the first of the default files that is there is read, or all of them."""

    def serve(
        config: ConfigOption = None,
        media: MediaOption = None,
        host: HostOption = None,
        rtsp_port: RtspPortOption = None,
        rtsps_port: RtspsPortOption = None,
        http_port: HttpPortOption = None,
        https_port: HttpsPortOption = None,
        rtmp_port: RtmpPortOption = None,
        rtmps_port: RtmpsPortOption = None,
        srt_port: SrtPortOption = None,
        onvif_port: OnvifPortOption = None,
        onvif_https_port: OnvifHttpsPortOption = None,
        log_level: LogLevelOption = None,
        log_file: LogFileOption = None,
        daemon: DaemonOption = False,
        pid_file: PidFileOption = None,
        list_what: ListOption = None,
    ) -> None:
        if list_what is not None:
            _print_lines(lambda: device_lists.listed(list_what.value))
            return
        loaded = _load(config or _default_files(default_names, all_of_them=all_of_them))
        overrides = Overrides(
            host=host,
            media_folder=media,
            rtsp_port=rtsp_port,
            rtsps_port=rtsps_port,
            http_port=http_port,
            https_port=https_port,
            rtmp_port=rtmp_port,
            rtmps_port=rtmps_port,
            srt_port=srt_port,
            onvif_port=onvif_port,
            onvif_https_port=onvif_https_port,
        )
        _serve(loaded, overrides, log_level, log_file, PidFile(pid_file) if pid_file else None, daemon=daemon)

    names = (" and " if all_of_them else " or ").join(default_names)
    read = f"{names} in the current folder {'are read if they are' if all_of_them else 'is read if it is'}"
    serve.__doc__ = f"""Start the server, in the foreground unless told otherwise.

    Without -c, {read} there; otherwise the server runs
    with defaults for an ordinary user, a test pattern included. What an option says wins over the file.
    """
    return serve


cli.command(name="serve")(_serving("mediaserver.cfg"))


def _default_files(names: Iterable[str], *, all_of_them: bool) -> list[Path]:
    """Of these files, those that are in the current folder: the first, or all."""
    found = [Path(name) for name in names if Path(name).is_file()]
    return found if all_of_them else found[:1]


def _load(files: list[Path]) -> LoadedConfiguration:
    try:
        return load(files)
    except ConfigurationError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_CONFIGURATION) from None


def _serve(
    loaded: LoadedConfiguration,
    overrides: Overrides,
    log_level: LogLevel | None,
    log_file: Path | None,
    pid_file: PidFile | None,
    *,
    daemon: bool,
) -> None:
    plan = make_plan(loaded, overrides)
    settings = loaded.settings
    levels = _log_levels(settings, log_level)
    background = Daemon() if daemon else None
    try:
        if pid_file is not None:
            pid_file.check()
        if background is not None:
            log_file = log_file or Path("manycast.log")
            background.detach(log_file)
        if pid_file is not None:
            pid_file.write()
        set_up_logging(levels[0], log_file, onvif=levels[1])
        _run(plan, lambda app: _greet(app, loaded, background))
    except (StartError, DaemonError, PidFileError, LogFileError) as error:
        _complain(f"manycast cannot start: {error}.")
        raise typer.Exit(EXIT_START) from None
    finally:
        if pid_file is not None:
            pid_file.remove()
        if background is not None:
            background.close()


def _log_levels(settings: Settings, option: LogLevel | None) -> tuple[int | None, int | None]:
    """The level of the log, and that of its ONVIF part; None: it is off."""
    if option is not None:
        level = list(LogLevel).index(option)
        return level, level
    general = settings.log_level if settings.log_enable else None
    own = settings.onvif.log_level
    return general, (general if own is None else own) if settings.onvif.log_enable else None


def _run(plan: Plan, on_started: Callable[[App], None]) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run(plan, on_started))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where there is one, asyncio elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.SelectorEventLoop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _greet(app: App, loaded: LoadedConfiguration, daemon: Daemon | None) -> None:
    """Say what is served where, and what is wrong."""
    sources = ", ".join(map(str, loaded.files)) or "no configuration file"
    print(f"manycast {__version__}: {sources}; media folder {app.plan.media_folder.resolve()}")
    rows = app.addresses().rows()
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:2]]
    for protocol, purpose, address in rows:  # no table: one that is wider than the terminal cuts the addresses
        print(f"  {protocol:{widths[0]}}  {purpose:{widths[1]}}  {address}")
    for note in app.notes:
        print(f"  note: {note}")
    if daemon is not None:
        daemon.ready()
    else:
        print("Ctrl-C stops the server.")
    sys.stdout.flush()
    logging.getLogger("manycast").info("started")
